package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"permalink-milter/cmd/permalink/report"
	"permalink-milter/hashheader/vectors"
)

const stampTemplate = "https://lists.example.org/{list}/{token}"

// Each vector, as it is in mail, verifies once it is stamped, and is not
// changed by a second stamp.
func TestVectorsStampedVerify(t *testing.T) {
	for _, v := range vectors.Read(t, "../../testdata") {
		stamp := func(message string) string {
			code, out, errs := permalink(t, strings.NewReader(message), "stamp", "--archive", stampTemplate, "--list", "devel@lists.example.org")
			if code != exitOK || errs != "" {
				t.Errorf("%s: exit %d: %s", v.Name, code, errs)
			}
			return out
		}
		once := stamp(string(v.Header))
		if again := stamp(once); again != once {
			t.Errorf("%s: the second stamp changes it:\n%s", v.Name, cmp.Diff(once, again))
		}
		_, out, _ := permalink(t, strings.NewReader(once), "verify", "--require", "hash,archived-at", "--archive", stampTemplate)
		if strings.Contains(out, "fail") || strings.Contains(out, "Message-ID-MD5") {
			t.Errorf("%s: %s", v.Name, out)
		}
	}
}

func TestStampKeepsLineEndsAndBodies(t *testing.T) {
	body := strings.Repeat("a line\r\n.\r\n\x00\xff\n", 20000)
	in := "From alice Tue Nov 24 11:00:00 2026\r\nMessage-ID:\r\n <abc@example.org>\r\n\r\n" + body
	want := "From alice Tue Nov 24 11:00:00 2026\r\nMessage-ID:\r\n <abc@example.org>\r\nMessage-ID-MD5: VP3JZR3MSKY5TQSMS5FHURHQXI\r\n\r\n" + body
	if _, out, errs := permalink(t, strings.NewReader(in), "stamp"); out != want || errs != "" {
		t.Errorf("%s%.300q", errs, out)
	}
}

func TestInPlaceKeepsModeAndTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1")
	then := time.Unix(1_000_000_000, 0)
	if err := os.WriteFile(file, []byte("Message-ID: <abc@example.org>\n\nbody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(file, 0o640)
	os.Chtimes(file, then, then)
	if code, _, errs := permalink(t, nil, "stamp", "--in-place", file); code != exitOK {
		t.Fatal(errs)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o640 || !info.ModTime().Equal(then) {
		t.Errorf("%v %v, %v", info.Mode(), info.ModTime(), err)
	}
	left, _ := os.ReadDir(filepath.Dir(file))
	if got, _ := os.ReadFile(file); !strings.Contains(string(got), "Message-ID-MD5") || len(left) != 1 {
		t.Errorf("%q, %v", got, left)
	}
}

func TestInPlaceStopsWhenItIsInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1")
	os.WriteFile(file, []byte("Message-ID: <abc@example.org>\n\n"), 0o600)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	code := run(ctx, []string{"stamp", "--in-place", file}, stdio{nil, &out, &errs})
	if data, _ := os.ReadFile(file); code != exitTemporary || strings.Contains(string(data), "MD5") || !strings.Contains(errs.String(), "run it again") {
		t.Errorf("exit %d: %s\n%s", code, &errs, data)
	}
}

// The owner of a Maildir swaps its cur for a link, again and again, while an
// administrator stamps it: nothing outside of the Maildir may change.
func TestInPlaceStaysInTheFolder(t *testing.T) {
	dir := t.TempDir()
	maildir, outside := filepath.Join(dir, "Maildir"), filepath.Join(dir, "outside")
	const message, precious = "Message-ID: <abc@example.org>\n\n", "Message-ID: <precious@example.org>\n\n"
	for _, sub := range []string{maildir + "/cur", maildir + "/new", maildir + "/tmp", outside} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.WriteFile(outside+"/1", []byte(precious), 0o600)
	if err := os.Symlink(outside, maildir+"/link"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for ctx.Err() == nil {
			unix.Renameat2(unix.AT_FDCWD, maildir+"/cur", unix.AT_FDCWD, maildir+"/link", unix.RENAME_EXCHANGE)
		}
	}()
	for range 300 {
		for _, sub := range []string{"/cur", "/link"} { // one of them is the folder
			if info, err := os.Lstat(maildir + sub); err == nil && info.IsDir() {
				os.WriteFile(maildir+sub+"/1", []byte(message), 0o600)
			}
		}
		os.WriteFile(outside+"/1", []byte(precious), 0o600)
		permalink(t, nil, "stamp", "--in-place", maildir)
		if data, _ := os.ReadFile(outside + "/1"); string(data) != precious && string(data) != message {
			t.Fatalf("a file outside was replaced: %q", data)
		}
	}
}

// Of each odd mailbox, stamping adds lines and keeps all other bytes, and finds
// every message again.
func TestStampedMailboxesKeepEveryOtherByte(t *testing.T) {
	files, err := filepath.Glob("../../testdata/mbox/*.mbox")
	if err != nil || len(files) < 26 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		before, err := os.ReadFile(file)
		if err != nil || len(before) == 0 {
			continue
		}
		code, after, errs := permalink(t, nil, "stamp", file)
		piped, again, _ := permalink(t, bytes.NewReader(before), "stamp")
		if code != exitOK || errs != "" || piped != exitOK || again != after {
			t.Errorf("%s: exit %d and %d: %s", file, code, piped, errs)
		}
		var rest strings.Builder
		added := 0
		for line := range strings.Lines(after) {
			if strings.HasPrefix(line, "Message-ID-MD5: ") {
				added++
				continue
			}
			rest.WriteString(line)
		}
		if diff := cmp.Diff(string(before), rest.String()); diff != "" {
			t.Errorf("%s:\n%s", file, diff)
		}
		_, out, _ := permalink(t, strings.NewReader(after), "verify", "--require", "hash")
		if want := report.Plural(added, "message"); !strings.Contains(out, want+": "+strconv.Itoa(added)+" pass") {
			t.Errorf("%s: %d added: %s", file, added, out)
		}
	}
}
