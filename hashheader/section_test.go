package hashheader_test

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/emersion/go-message/textproto"
	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
)

// overTheBound is what testdata/header/want.tsv says of a section that is
// named by none.
const overTheBound = "(over the bound: told of, no id)"

func TestSectionsOfTestdata(t *testing.T) {
	want, err := os.ReadFile("../testdata/header/want.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(want)) {
		file, id, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !strings.HasSuffix(file, ".eml") {
			continue
		}
		rows++
		data, err := os.ReadFile("../testdata/header/" + file)
		if err != nil {
			t.Fatal(err)
		}
		h, err := hashheader.ReadHeader(bytes.NewReader(data))
		if id == overTheBound {
			if err != hashheader.ErrSectionTooBig {
				t.Errorf("%s: %v", file, err)
			}
			continue
		}
		got, bad := h.MessageID()
		if bad == hashheader.ErrLongID {
			bad = nil
		}
		if want := strings.ReplaceAll(id, `\0`, "\x00"); err != nil || bad != nil || string(got) != want {
			t.Errorf("%s: %q, %v, %v; want %q", file, got, err, bad, want)
		}
	}
	if rows < 20 {
		t.Errorf("%d cases", rows)
	}
}

func TestReadHeader(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want hashheader.Header
	}{
		"fields and folds":                   {"A: b\n c\nD:e\n\nF: g\n", hashheader.Header{{"A", " b\n c"}, {"D", "e"}}},
		"CR LF":                              {"A: b\r\n\tc\r\nD:e\r\n\r\nF: g\r\n", hashheader.Header{{"A", " b\n\tc"}, {"D", "e"}}},
		"CR CR LF":                           {"A: b\r\r\n c\r\r\n\r\r\nF: g\r\n", hashheader.Header{{"A", " b\n c"}}},
		"a CR elsewhere belongs to the line": {"A: b\rc\nD: e\r", hashheader.Header{{"A", " b\rc"}, {"D", " e"}}},
		"no line end":                        {"A: b", hashheader.Header{{"A", " b"}}},
		"white space before the colon":       {"A \t: b\n", hashheader.Header{{"A", " b"}}},
		"a fold of white space alone":        {"A: b\n \nC: d\n", hashheader.Header{{"A", " b\n "}, {"C", " d"}}},
		"a byte order mark":                  {"\xef\xbb\xbfA: b\n", hashheader.Header{{"A", " b"}}},
		"blank lines first":                  {"\n \t\r\nA: b\n", hashheader.Header{{"A", " b"}}},
		"From_ lines first":                  {"From a@b Mon Jan  1 10:00:00 2026\n>From c\nA: b\n", hashheader.Header{{"A", " b"}}},
		"a field named From":                 {"From : b\nA: b\n", hashheader.Header{{"From", " b"}, {"A", " b"}}},
		"a From_ line ends a section":        {"A: b\nFrom c Mon\nD: e\n", hashheader.Header{{"A", " b"}}},
		"a line without a colon ends it":     {"A: b\njunk\n C: d\nE: f\n", hashheader.Header{{"A", " b"}}},
		"an 8-bit name ends it":              {"A: b\nN\xe4me: c\n", hashheader.Header{{"A", " b"}}},
		"a NUL in a name ends it":            {"A: b\nN\x00: c\n", hashheader.Header{{"A", " b"}}},
		"a fold first":                       {" x\nA: b\n", nil},
		"nothing":                            {"", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for kind, r := range map[string]io.Reader{"whole": strings.NewReader(c.text), "byte by byte": iotest.OneByteReader(strings.NewReader(c.text)),
				"with the end": iotest.DataErrReader(strings.NewReader(c.text))} {
				got, err := hashheader.ReadHeader(r)
				if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
					t.Errorf("%s: %v\n%s", kind, err, diff)
				}
			}
		})
	}
}

func TestBoundsOfASection(t *testing.T) {
	fields := func(n int) string { return strings.Repeat("A: b\r\n", n) }
	for name, c := range map[string]struct {
		text string
		over bool
	}{
		"2,000 fields":                {fields(2000) + "\r\n" + fields(2), false},
		"2,001 fields":                {fields(2001), true},
		"1 MiB":                       {"A: " + strings.Repeat("x", 1<<20-1) + "\n\n", false},
		"1 MiB and a byte":            {"A: " + strings.Repeat("x", 1<<20) + "\n\n", true},
		"folds count":                 {"A:" + strings.Repeat("\r\n x", 1<<18+1<<17), true},
		"white space first, for ever": {strings.Repeat(" \n", 2<<20), true},
		"CRs for ever":                {"A: b" + strings.Repeat("\r", 3<<20) + "x", true},
		"a body does not count":       {"A: b\n\n" + strings.Repeat("x", 3<<20), false},
	} {
		h, err := hashheader.ReadHeader(strings.NewReader(c.text))
		if (err == hashheader.ErrSectionTooBig) != c.over || (h == nil) != c.over {
			t.Errorf("%s: %d fields, %v", name, len(h), err)
		}
	}
}

func TestMessageIDOfAHeader(t *testing.T) {
	long := strings.Repeat("x", hashheader.MaxID+1)
	for name, c := range map[string]struct {
		text, want string
		err        error
	}{
		"the first with an id counts":    {"Message-ID:\nMessage-Id: < >\nMESSAGE-ID: <a@b>\nMessage-ID: <c@d>\n", "a@b", nil},
		"none":                           {"Message-ID: <>\nDate: x\n", "", nil},
		"the longest":                    {"Message-ID: <" + long[1:] + ">\n", long[1:], nil},
		"one that is too long":           {"Message-ID: <" + long + ">\n", "", hashheader.ErrLongID},
		"one that is too long, then not": {"Message-ID: <" + long + ">\nMessage-ID: <a@b>\n", "", hashheader.ErrLongID},
	} {
		got, err := readHeader(t, []byte(c.text)).MessageID()
		if err != c.err || string(got) != c.want {
			t.Errorf("%s: %.20q, %v", name, got, err)
		}
	}
}

// A value that grew fold by fold as a string would be copied each time.
func TestReadHeaderOfManyFoldsTakesNoMoreThanItsSize(t *testing.T) {
	text := "A: b\n" + strings.Repeat(" \n", 100_000)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	h, err := hashheader.ReadHeader(strings.NewReader(text))
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; err != nil || len(h) != 1 || len(h[0].Value) != len(text)-len("A:\n") || got > 40<<20 {
		t.Errorf("%d fields, %v, %d MiB were allocated", len(h), err, got>>20)
	}
}

func sectionSeeds(f *testing.F) {
	for _, text := range []string{"From x\nA: b\r\n c\r\nMessage-ID : <x>\r\n\r\nbody", ": \n\t\n", "\xef\xbb\xbf>From \nA:\r\r\n \r\n:"} {
		f.Add([]byte(text))
	}
	files, _ := os.ReadDir("../testdata/header")
	for _, file := range files {
		if data, err := os.ReadFile("../testdata/header/" + file.Name()); err == nil && len(data) < 2000 {
			f.Add(data)
		}
	}
}

// FuzzReadHeader holds that a section is found the same however it arrives, and
// that writing it down and reading it again changes nothing.
func FuzzReadHeader(f *testing.F) {
	sectionSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := hashheader.ReadHeader(bytes.NewReader(data))
		slow, slowErr := hashheader.ReadHeader(iotest.OneByteReader(bytes.NewReader(data)))
		if diff := cmp.Diff(h, slow); diff != "" || err != slowErr {
			t.Errorf("%q byte by byte: %v, %v %s", data, err, slowErr, diff)
		}
		var b strings.Builder
		for _, field := range h {
			b.WriteString(field.Name + ":" + field.Value + "\n")
		}
		again, err := hashheader.ReadHeader(strings.NewReader(b.String()))
		if diff := cmp.Diff(h, again); err != nil || diff != "" {
			t.Errorf("%q: %v %s", data, err, diff)
		}
	})
}

// FuzzReadHeaderAgreesWithTextproto takes go-message's reader as an oracle: what
// it reads without an error, ReadHeader reads alike. The exceptions: textproto
// knows neither From_ lines nor blank lines before a section, it passes over a
// line without a name, at which MTAs end the section, and it joins folds and
// trims values.
func FuzzReadHeaderAgreesWithTextproto(f *testing.F) {
	sectionSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		theirs, err := textproto.ReadHeader(bufio.NewReader(bytes.NewReader(data)))
		if err != nil || theirs.Len() == 0 || skipped(data) || nameless(data) {
			return
		}
		ours, err := hashheader.ReadHeader(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%q: %v", data, err)
		}
		i := 0
		for fields := theirs.Fields(); fields.Next(); i++ {
			if i >= len(ours) || !strings.EqualFold(fields.Key(), ours[i].Name) || squeeze(fields.Value()) != squeeze(ours[i].Value) {
				t.Fatalf("%q: field %d is %s: %q, ours are %q", data, i, fields.Key(), fields.Value(), ours)
			}
		}
		if i != len(ours) {
			t.Errorf("%q: %d fields, ours are %q", data, i, ours)
		}
	})
}

// skipped reports whether ReadHeader skips a line at the start.
func skipped(data []byte) bool {
	var s hashheader.Section
	s.Scan(data, true)
	return s.Start > 0
}

// nameless reports whether a line begins with a colon, or with white space
// and a colon.
func nameless(data []byte) bool {
	for line := range bytes.Lines(data) {
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte{':'}) {
			return true
		}
	}
	return false
}

func squeeze(value string) string { return strings.Join(strings.Fields(value), "") }

func ExampleReadHeader() {
	message := "Message-ID: <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>\r\nSubject: permalinks\r\n\r\nHello\r\n"
	h, err := hashheader.ReadHeader(strings.NewReader(message))
	if err != nil {
		panic(err)
	}
	id, _, err := h.NameID()
	if err != nil {
		panic(err)
	}
	hash, err := hashheader.MD5.Hash(id)
	if err != nil {
		panic(err)
	}
	io.WriteString(os.Stdout, hash+"\n")
	// Output: 2FSRUHO6FOQVW42UNHOYWCUTJI
}

func BenchmarkReadHeader(b *testing.B) {
	text := strings.Repeat("Received: from a.example by b.example with ESMTP id 0123456789; Tue, 24 Nov 2026 11:00:00 +0000\r\n", 10) +
		"Message-ID: <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>\r\nMessage-ID-MD5: 2FSRUHO6FOQVW42UNHOYWCUTJI\r\n\r\nbody\r\n"
	data := []byte(text)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		s := hashheader.Section{Wants: hashheader.Examined[[]byte]}
		s.Scan(data, true)
		s.Header(data)
	}
}

// A line that ends the section is not part of it, so its length bounds nothing,
// whether it is read whole or in pieces.
func TestALongLineBehindTheSection(t *testing.T) {
	fields := "Message-ID: <abc@example.org>\n"
	for line, over := range map[string]bool{"no field ": false, " fold": true, "X: y": true} {
		message := fields + strings.Repeat(line, 1+hashheader.MaxSectionRaw/len(line))
		var whole hashheader.Section
		whole.Scan([]byte(message), true)
		_, pieces, err := hashheader.ReadSection(strings.NewReader(message), nil)
		if (whole.Err() != nil) != over || (err != nil) != over {
			t.Errorf("%q: %v, in pieces %v", line, whole.Err(), err)
		}
		if !over && pieces.End != len(fields) {
			t.Errorf("%q: the section ends at %d", line, pieces.End)
		}
	}
}
