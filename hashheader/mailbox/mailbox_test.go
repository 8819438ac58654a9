package mailbox_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"go.uber.org/goleak"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	sep = "From alice@example.org Tue Nov 24 11:00:00 2026\n"
	one = "Message-ID: <1@x>\nSubject: s\n\nbody\n"
	two = "Message-ID: <2@x>\n\nbody\n"
)

// read shows what Map yields, a line a message: source, index, offset, id,
// error.
func read(t *testing.T, o mailbox.Options, inputs ...string) (lines []string) {
	t.Helper()
	show := func(m *mailbox.Message) string {
		line := fmt.Sprintf("%s#%d@%d", filepath.Base(m.Source), m.Index, m.Offset)
		if m.Header != nil {
			line += " " + string(messageID(m.Header))
		}
		if m.Err != nil {
			line += " ! " + m.Err.Error()
		}
		return line
	}
	for line := range mailbox.Map(t.Context(), inputs, o, show) {
		lines = append(lines, line)
	}
	return lines
}

// readText reads a text as file "f" and as standard input: a file can be read
// twice, a pipe only once.
func readText(t *testing.T, format mailbox.Format, text string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "f")
	write(t, file, text)
	fromFile := read(t, mailbox.Options{Format: format}, file)
	fromPipe := read(t, mailbox.Options{Format: format, Stdin: io.MultiReader(strings.NewReader(text))}, "-")
	for i, line := range fromPipe {
		fromPipe[i] = strings.Replace(line, "-#", "f#", 1)
	}
	checkOffsets(t, text, fromFile)
	if diff := cmp.Diff(fromFile, fromPipe); diff != "" {
		t.Errorf("a file and a pipe differ:\n%s", diff)
	}
	return fromFile
}

// checkOffsets fails the test unless a From_ line stands at each offset but the
// first.
func checkOffsets(t *testing.T, text string, lines []string) {
	t.Helper()
	for _, line := range lines {
		var index, offset int
		fmt.Sscanf(line, "f#%d@%d", &index, &offset)
		if index > 1 && strings.Contains(text, sep) && !strings.Contains(line, "!") && !strings.HasPrefix(text[offset:], "From ") {
			t.Errorf("%s: no From_ line there", line)
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

func cl(n int, body string) string {
	return fmt.Sprintf("Message-ID: <cl@x>\nContent-Length: %d\n\n%s", n, body)
}

func TestFormats(t *testing.T) {
	inner := "a\n\n" + sep + "Subject: quoted by nobody\n\nb\n"
	for name, c := range map[string]struct {
		format mailbox.Format
		text   string
		want   []string
	}{
		"a message":                                     {"", one, []string{"f#1@0 1@x"}},
		"a message with CRLF":                           {"", crlf(one), []string{"f#1@0 1@x"}},
		"a message behind its From_ line":               {"", "From alice\n" + one, []string{"f#1@0 1@x"}},
		"a message of header fields alone":              {"", "Message-ID: <1@x>\n", []string{"f#1@0 1@x"}},
		"a field named From with a space":               {"", "From : a@b\nMessage-ID: <1@x>\n\n" + sep + two, []string{"f#1@0 1@x"}},
		"quoted From_ lines of relays":                  {"", sep + ">From bob Tue Nov 24 11:00:00 2026\n" + one, []string{"f#1@0 1@x"}},
		"a quoted From_ line at the start":              {"", ">From bob Tue Nov 24 11:00:00 2026\n" + one, []string{"f#1@0 1@x"}},
		"a folded id":                                   {"", "Message-ID:\n <1@\n\tx>\nA: b\n\n", []string{"f#1@0 1@x"}},
		"the first line that is no field ends":          {"", "A: b\nno field\nMessage-ID: <1@x>\n", []string{"f#1@0 "}},
		"an mbox":                                       {"", sep + one + "\n" + sep + two + "\n", []string{"f#1@0 1@x", "f#2@84 2@x"}},
		"an mbox with CRLF":                             {"", crlf(sep + one + "\n" + sep + two), []string{"f#1@0 1@x", "f#2@90 2@x"}},
		"an mbox without empty lines between":           {"", sep + one + sep + two, []string{"f#1@0 1@x", "f#2@83 2@x"}},
		"empty lines before the first":                  {"", "\n\n" + sep + one, []string{"f#1@2 1@x"}},
		"From_ lines in bodies (mboxo)":                 {"", sep + one + "\nFrom here on it is text\n>From there too\n\nFrom: me\n" + sep + two, []string{"f#1@0 1@x", "f#2@134 2@x"}},
		"a date in a body's From line":                  {"", sep + one + "\nFrom 10:30 in 2024 on, we\nwent out\n", []string{"f#1@0 1@x"}},
		"pipermail's form of the address":               {"", strings.Replace(sep, "@", " at ", 1) + one, []string{"f#1@0 1@x"}},
		"a date with a zone":                            {"", sep + one + "From 1@xxx Tue Nov 24 11:00:00 +0000 2026\n" + two, []string{"f#1@0 1@x", "f#2@83 2@x"}},
		"mboxcl: Content-Length leads over From_ lines": {"", sep + cl(len(inner), inner) + "\n" + sep + two, []string{"f#1@0 cl@x", "f#2@168 2@x"}},
		"mboxo ignores Content-Length":                  {"mboxo", sep + cl(len(inner), inner) + "\n" + sep + two, []string{"f#1@0 cl@x", "f#2@90 ", "f#3@168 2@x"}},
		"a Content-Length that is not true":             {"", sep + cl(3, "body\n") + "\n" + sep + two, []string{"f#1@0 cl@x", "f#2@92 2@x"}},
		"a Content-Length past the end":                 {"", sep + cl(300000, "body\n") + "\n" + sep + two, []string{"f#1@0 cl@x", "f#2@97 2@x"}},
		"mboxcl with a wrong length":                    {"mboxcl", sep + cl(3, "body\n") + "\n" + sep + two, []string{"f#1@0 cl@x", "f#2@92 2@x"}},
		"the last message's length":                     {"", sep + cl(5, "body\n"), []string{"f#1@0 cl@x"}},
		"a message with no header in an mbox":           {"", sep + one + sep + "\nbody\n", []string{"f#1@0 1@x"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, readText(t, c.format, c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBadInputIsToldOf(t *testing.T) {
	for name, c := range map[string]struct {
		format mailbox.Format
		text   string
		want   []string
	}{
		"empty":                           {"", "", []string{"f#0@0 ! empty: no message"}},
		"binary junk":                     {"", "\x7fELF\x00\x01", []string{"f#0@0 ! neither a message nor an mbox"}},
		"text":                            {"", "Just some text\n", []string{"f#0@0 ! neither a message nor an mbox"}},
		"a message cut in its header":     {"", "Message-ID: <1@x>\nSubj", []string{"f#1@0 1@x ! no line end behind the last line of the header: if the message is cut off, it may be named wrongly"}},
		"an mbox cut in its header":       {"", sep + one + sep + "Message-ID: <2@x", []string{"f#1@0 1@x", "f#2@83 <2@x ! ends in the middle of a header line: cut off?"}},
		"NUL in a header":                 {"", sep + "Message-ID: <1@x>\nA: \x00\n\n" + sep + two, []string{"f#1@69 1@x ! NUL in the header section", "f#2@72 2@x"}},
		"NUL in a body":                   {"", sep + one + "\x00\x00\n" + sep + two, []string{"f#1@0 1@x", "f#2@86 2@x"}},
		"an mbox without From_":           {"mbox", one + sep + two, []string{"f#0@0 ! no From_ line at the start of the mbox; skipped up to the first", "f#1@35 2@x"}},
		"an mbox of text":                 {"mbox", "From me\nto you\n", []string{"f#0@0 ! no From_ line at the start of the mbox; skipped up to the first"}},
		"truncated gzip":                  {"", cut(zip(sep+one+sep+two), 6), []string{"f#1@0 1@x", "f#2@83 2@x", "f#0@155 ! gzip data ends early: the file is truncated"}},
		"a truncated gzip of one message": {"", cut(zip(one+strings.Repeat("body\n", 9000)), 6), []string{"f#1@0 1@x", "f#0@45035 ! gzip data ends early: the file is truncated"}},
		"truncated zstd":                  {"", cut(zst(sep+one+sep+two), 2), []string{"f#0@0 ! zstd data ends early: the file is truncated"}},
		"gzip and junk":                   {"", zip(one) + "junk behind the end", []string{"f#1@0 1@x", "f#0@35 ! gzip data is whole, but other bytes follow it: they are not read"}},
		"gzip and zeros":                  {"", zip(one) + strings.Repeat("\x00", 100), []string{"f#1@0 1@x"}},
		"gzip, zeros and junk":            {"", zip(one) + "\x00\x00junk", []string{"f#1@0 1@x", "f#0@35 ! gzip data is whole, but other bytes follow it: they are not read"}},
		"gzip and half a member":          {"", zip(one) + cut(zip(one), 4), []string{"f#1@0 1@x", "f#0@70 ! gzip data ends early: the file is truncated"}},
		"a gzip header alone":             {"", "\x1f\x8b", []string{"f#0@0 ! gzip data ends early: the file is truncated"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, readText(t, c.format, c.text)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is known to be torn is no whole message.
func TestTornHeaderIsCut(t *testing.T) {
	var subject strings.Builder
	for i := range 2000 { // it does not compress
		fmt.Fprintf(&subject, "%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))
	}
	text := zip("Message-ID: <1@x>\nSubject: " + subject.String())
	got := readText(t, "", cut(text, len(text)/2))
	if len(got) != 2 || got[0] != "f#1@0 1@x ! "+mailbox.ErrCut.Error() {
		t.Errorf("%.200q", got)
	}
}

func zip(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func zst(text string) string {
	var b bytes.Buffer
	z, _ := zstd.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

func cut(text string, n int) string { return text[:len(text)-n] }

func TestCompressed(t *testing.T) {
	text := sep + one + sep + two
	want := []string{"f#1@0 1@x", "f#2@83 2@x"}
	for name, compressed := range map[string]string{"gzip": zip(text), "gzip members": zip(text[:50]) + zip(text[50:]), "zstd": zst(text)} {
		if diff := cmp.Diff(want, readText(t, "", compressed)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// A window is memory that the file asks for.
func TestZstdThatAsksForMuchMemoryIsRefused(t *testing.T) {
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b, zstd.WithWindowSize(64<<20), zstd.WithSingleSegment(false))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(z, strings.NewReader(strings.Repeat(sep+one, 200000)))
	z.Close()
	got := readText(t, "", b.String())
	if len(got) != 1 || !strings.Contains(got[0], "bad zstd data: window size exceeded") {
		t.Errorf("%.500q", got)
	}
}

func TestFolders(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/maildir/cur/2:2,S", two)
	write(t, dir+"/maildir/new/3", zip(one))
	write(t, dir+"/maildir/tmp/4", one)
	write(t, dir+"/maildir/dovecot-uidlist", "3 V1")
	write(t, dir+"/maildir/rules", "Note: no mail\n")
	write(t, dir+"/maildir/6:2,S", one)                   // notmuch reads these, too
	write(t, dir+"/maildir/.Sent/cur/5", sep+one+sep+two) // in a Maildir, a file is one message
	write(t, dir+"/maildir/.Sent/new/.hidden", one)
	write(t, dir+"/tree/a/1", one)
	write(t, dir+"/tree/b.mbox", sep+one+sep+two)
	write(t, dir+"/tree/c", "junk")
	os.Symlink(dir, dir+"/tree/circle")
	os.Symlink(dir+"/tree/a/1", dir+"/tree/d")
	write(t, dir+"/secret", one)
	os.Symlink("../secret", dir+"/tree/e")
	os.Symlink("nowhere", dir+"/tree/f")
	want := []string{"5#1@0 1@x", "6:2,S#1@0 1@x", "2:2,S#1@0 2@x", "3#1@0 1@x", "1#1@0 1@x", "b.mbox#1@0 1@x", "b.mbox#2@83 2@x",
		"c#0@0 ! neither a message nor an mbox", "circle#0@0 ! a symbolic link to a folder: not followed; name the folder itself", "d#1@0 1@x",
		"e#0@0 ! a symbolic link that leads out of the folder: not followed", "f#0@0 ! no such file or directory", "none#0@0 ! no such file or directory"}
	if diff := cmp.Diff(want, read(t, mailbox.Options{}, dir+"/maildir", dir+"/tree", dir+"/none")); diff != "" {
		t.Error(diff)
	}
}

// While a mailbox is read, mail programs move its messages and set their flags:
// each is read once. One that is gone is told of.
func TestMessagesThatMoveInAMaildir(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"cur/1:2,", "cur/2:2,", "cur/3:2,", "new/4", "new/5"} {
		write(t, dir+"/"+name, "Message-ID: <"+name[4:5]+"@x>\n\n")
	}
	moved := false
	o := mailbox.Options{Ended: func(mailbox.Summary) {
		if moved {
			return
		}
		moved = true
		os.Rename(dir+"/cur/2:2,", dir+"/cur/2:2,FS")
		os.Remove(dir + "/cur/3:2,")
		os.Rename(dir+"/new/4", dir+"/cur/4:2,S")
	}}
	want := []string{"1:2,#1@0 1@x", "2:2,FS#1@0 2@x", "3:2,#0@0 ! no such file or directory", "4:2,S#1@0 4@x", "5#1@0 5@x"}
	if diff := cmp.Diff(want, read(t, o, dir)); diff != "" {
		t.Error(diff)
	}
}

// What cannot be read is told of by its name, and the rest is read.
func TestWhatOthersMayNotRead(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a/1", "b/1", "c/1", "d", "e", "m/cur/1", "m/new/2", "m/.Sent/cur/3", "m/.Sent/new/4", "n/cur/5", "n/new/6"} {
		write(t, dir+"/"+name, one)
	}
	for name, mode := range map[string]os.FileMode{"b": 0, "c": 0o444, "d": 0, "m/new": 0, "m/.Sent/cur/3": 0, "n": 0o444} {
		if err := os.Chmod(dir+"/"+name, mode); err != nil {
			t.Fatal(err)
		}
		defer os.Chmod(dir+"/"+name, 0o755)
	}
	if os.Getuid() == 0 { // who may read all
		if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), syscall.Setreuid(-1, 65534)); err != nil {
			t.Fatal(err)
		}
		defer syscall.Setreuid(-1, 0)
	}
	const denied = "#0@0 ! permission denied"
	want := []string{"1#1@0 1@x", "b" + denied, "1" + denied, "d" + denied, "e#1@0 1@x",
		"3" + denied, "4#1@0 1@x", "new" + denied, "1#1@0 1@x", "cur" + denied, "new" + denied}
	if diff := cmp.Diff(want, read(t, mailbox.Options{}, dir)); diff != "" {
		t.Error(diff)
	}
}

// A pipe in a folder would be waited for; one that is named is read once.
func TestPipes(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	for _, err := range []error{syscall.Mkfifo(pipe, 0o600), os.Symlink("pipe", filepath.Join(dir, "link")), os.WriteFile(filepath.Join(dir, "m"), []byte(one), 0o600)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"m#1@0 1@x"}, read(t, mailbox.Options{}, dir)); diff != "" {
		t.Error(diff)
	}
	body := strings.Repeat("x", 2<<20) + "\n" + sep + "A: b\n"
	text := fmt.Sprintf("%sMessage-ID: <1@x>\nContent-Length: %d\n\n%s\n%s%s", sep, len(body), body, sep, two)
	go os.WriteFile(pipe, []byte(text), 0o600)
	if got := read(t, mailbox.Options{Format: mailbox.MboxCL}, pipe); len(got) != 2 {
		t.Errorf("%q", got)
	}
}

// Blocks end anywhere: in bodies, headers, From_ lines and line ends.
func TestMessagesAcrossBlocks(t *testing.T) {
	var b strings.Builder
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprintf("f#%d@%d %d@x", i+1, b.Len(), i))
		fmt.Fprintf(&b, "%sSubject: %s\nMessage-ID:\n <%d@x>\nContent-Length: %d\n\n%s\n", sep, strings.Repeat("s", i%900), i, i%2000, strings.Repeat("b", i%2000))
	}
	for _, format := range []mailbox.Format{"", "mboxo", "mboxcl"} {
		if diff := cmp.Diff(want, readText(t, format, b.String())); diff != "" {
			t.Errorf("%q:\n%.2000s", format, diff)
		}
	}
}

// Each body holds what looks like another message, and is larger than a block
// now and then.
func TestContentLengthAcrossBlocks(t *testing.T) {
	var b strings.Builder
	var want []string
	for i := range 60 {
		body := "\n" + sep + two + strings.Repeat("x", i%7*100000)
		want = append(want, fmt.Sprintf("f#%d@%d cl@x", i+1, b.Len()))
		b.WriteString(sep + cl(len(body), body) + strings.Repeat("\n", i%2))
	}
	for _, format := range []mailbox.Format{"", "mboxcl2"} {
		if diff := cmp.Diff(want, readText(t, format, b.String())); diff != "" {
			t.Errorf("%q:\n%.2000s", format, diff)
		}
	}
}

func TestContentLengthThatCannotBeCheckedIsNotTrusted(t *testing.T) {
	text := sep + cl(700000, "body\n") + strings.Repeat(sep+two, 20000)
	if got := readText(t, "", text); len(got) != 20001 {
		t.Errorf("%d messages", len(got))
	}
}

// A Content-Length is looked up the same way whatever the bytes come in.
func TestContentLengthThatLeadsAstray(t *testing.T) {
	body := strings.Repeat("0123456789abcde\n", 100000) + "\n" + sep + two
	text := sep + cl(len(body)-100, body) + "\n" + sep + two
	inner := len(sep+cl(len(body)-100, "")) + 1600001
	want := []string{"f#1@0 cl@x", fmt.Sprintf("f#2@%d 2@x", inner), fmt.Sprintf("f#3@%d 2@x", inner+len(sep+two)+1)}
	for _, format := range []mailbox.Format{"", "mboxcl2"} {
		if diff := cmp.Diff(want, readText(t, format, text)); diff != "" {
			t.Errorf("%q:\n%s", format, diff)
		}
	}
	true := sep + cl(len(body), body) + "\n" + sep + two
	want = []string{"f#1@0 cl@x", fmt.Sprintf("f#2@%d 2@x", inner+len(sep+two)+1)}
	for _, text := range []string{true, zip(true), zst(true)} {
		if diff := cmp.Diff(want, readText(t, "", text)); diff != "" {
			t.Error(diff)
		}
	}
}

// The mailboxes in testdata/mbox hold as many messages as want.tsv says, from a
// file, a pipe, and out of gzip.
func TestOddMailboxes(t *testing.T) {
	const dir = "../../testdata/mbox/"
	want, err := os.ReadFile(dir + "want.tsv")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(want)), "\n")[1:]
	for _, line := range lines {
		file, number, _ := strings.Cut(line, "\t")
		data, err := os.ReadFile(dir + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{string(data), zip(string(data)), "\xef\xbb\xbf" + string(data)} {
			got := slices.DeleteFunc(readText(t, "", text), func(line string) bool { return strings.HasPrefix(line, "f#0@") })
			if !strings.HasPrefix(text, "\x1f") && len(mailbox.Split([]byte(text))) != max(len(got), 1) {
				t.Errorf("%s: Split finds %d messages, not %d", file, len(mailbox.Split([]byte(text))), len(got))
			}
			if strconv.Itoa(len(got)) != number || strings.Contains(strings.Join(got, ""), "!") {
				t.Errorf("%s: %q, want %s", file, got, number)
			}
		}
	}
	if len(lines) < 26 {
		t.Errorf("%d mailboxes", len(lines))
	}
}

// What Split returns is the text.
func TestSplitCutsAtFromLines(t *testing.T) {
	prose := "From here\nNote: no\n\n"
	big := strings.Repeat("x", 600000) + "\n"
	for _, want := range [][]string{
		{""}, {"text\n"}, {one}, {one + "\n" + sep + two},
		{"\n\n" + sep + one + prose, sep + two, "From -\n" + two},
		{sep + cl(len(prose+sep+two), prose+sep+two) + "\n", sep + two},
		{sep + one + big, sep + two + big, sep + one},
	} {
		var got []string
		for _, text := range mailbox.Split([]byte(strings.Join(want, ""))) {
			got = append(got, string(text))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%.2000s", diff)
		}
	}
}

// Nothing of one mailbox is taken into the next.
func TestMailboxesOneBehindTheOther(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/f", sep+one)
	write(t, dir+"/g", "From \n"+two)
	want := []string{"f#1@0 1@x", "g#1@0 2@x", "f#1@0 1@x"}
	if diff := cmp.Diff(want, read(t, mailbox.Options{}, dir+"/f", dir+"/g", dir+"/f")); diff != "" {
		t.Error(diff)
	}
}

// Undated From_ lines are found wherever a block ends.
func TestUndatedFromLinesAcrossBlocks(t *testing.T) {
	var b strings.Builder
	var want []string
	for i := range 3000 {
		want = append(want, fmt.Sprintf("f#%d@%d %d@x", i+1, b.Len(), i))
		fmt.Fprintf(&b, "From \nX-Odd: %s\nMessage-ID: <%d@x>\n\n%s\nFrom here on\n\n", strings.Repeat("s", i%900), i, strings.Repeat("b", i%2000))
	}
	if diff := cmp.Diff(want, readText(t, "", b.String())); diff != "" {
		t.Errorf("%.2000s", diff)
	}
}

func TestSummaries(t *testing.T) {
	digest := strings.Repeat("From: a@b\nSubject: s\n\n"+strings.Repeat("text\n", 10000), 30)
	prose := "From here on\n\nFrom there\n"
	for name, c := range map[string]struct {
		text string
		want mailbox.Summary
	}{
		"a message": {one, mailbox.Summary{Format: mailbox.Single, Messages: 1}},
		"an mbox":   {sep + one + prose + "\n" + sep + two, mailbox.Summary{Format: mailbox.Mbox, Messages: 2, FromText: 2, FromTextAt: []int64{83, 97}}},
		"mboxcl":    {sep + cl(5, "body\n") + "\n" + sep + two, mailbox.Summary{Format: mailbox.MboxCL, Messages: 2}},
		"a suspect": {sep + one + sep + two + digest, mailbox.Summary{Format: mailbox.Mbox, Messages: 2,
			Suspects: []mailbox.Suspect{{Index: 2, Offset: 83, Size: int64(len(sep + two + digest)), Heads: 30}}}},
		"a suspect of no mbox": {one + digest, mailbox.Summary{Format: mailbox.Single, Messages: 1}},
	} {
		file := filepath.Join(t.TempDir(), "f")
		write(t, file, c.text)
		var got mailbox.Summary
		read(t, mailbox.Options{Ended: func(s mailbox.Summary) { got = s }}, file)
		got.Source = ""
		if name == "a suspect of no mbox" {
			if len(got.Suspects) != 1 {
				t.Errorf("%s: %+v", name, got)
			}
			got.Suspects = nil
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

func TestHeaderOverTheBoundIsAnErrorAndTheRestGoesOn(t *testing.T) {
	big := strings.Repeat("Subject: "+strings.Repeat("x", 900)+"\n", hashheader.MaxSectionSize/900)
	want := []string{"f#1@0 1@x", "f#2@83 ! " + hashheader.ErrSectionTooBig.Error(), fmt.Sprintf("f#3@%d 2@x", 83+len(sep+big+big+one))}
	if diff := cmp.Diff(want, readText(t, "", sep+one+sep+big+big+one+sep+two)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"f#1@0 ! " + hashheader.ErrSectionTooBig.Error()}, readText(t, "", big+big+one)); diff != "" {
		t.Error(diff)
	}
	under := big[:len(big)-hashheader.MaxSectionSize/8]
	under = under[:strings.LastIndexByte(under, '\n')+1]
	if diff := cmp.Diff([]string{"f#1@0 1@x"}, readText(t, "", sep+under+one)); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyWantedFieldsAreKept(t *testing.T) {
	o := mailbox.Options{Stdin: strings.NewReader("Received: x\n y\nMESSAGE-ID : <1@x>\r\nReceived: z\n\n"),
		Wants: func(name []byte) bool { return string(name) == "MESSAGE-ID" }}
	for h := range mailbox.Map(t.Context(), []string{"-"}, o, func(m *mailbox.Message) hashheader.Header { return m.Header }) {
		if diff := cmp.Diff(hashheader.Header{{Name: "MESSAGE-ID", Value: " <1@x>"}}, h); diff != "" {
			t.Error(diff)
		}
	}
}

func messageID(h hashheader.Header) []byte {
	id, _ := h.MessageID()
	return id
}
