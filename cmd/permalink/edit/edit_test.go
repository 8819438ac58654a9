package edit

import (
	"bytes"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry/stamp"
)

func TestEditsAreAppliedAsAnMTADoes(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"the second of a name":      {"A: 1\nX: 1\nx : 2\n\n", "A: 1\nX: 1\nB: new\n\n"},
		"not there":                 {"A: 1\nX: 1\n\nx: 2\n", "A: 1\nX: 1\nB: new\n\nx: 2\n"},
		"a message without end":     {"A: 1\nX: 1", "A: 1\nX: 1\nB: new\n"},
		"a body without empty line": {"X: 1\nno field\n", "X: 1\nB: new\nno field\n"},
		"folds go with their field": {"X: 1\nX:\n 2\n\t3\nA: 1\n\n", "X: 1\nA: 1\nB: new\n\n"},
	} {
		edits := []stamp.Edit{{Op: stamp.Delete, Name: "X", Index: 2}, {Op: stamp.Add, Name: "B", Value: "new"}}
		if got := string(readRaw(t, c.in).Apply(edits)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	replace := []stamp.Edit{{Op: stamp.Replace, Name: "message-id", Index: 1, Value: "<a@b>"}}
	if got := string(readRaw(t, "Message-ID:\r\n\r\n").Apply(replace)); got != "message-id: <a@b>\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

func readRaw(t *testing.T, text string) Raw {
	t.Helper()
	data, section, err := hashheader.ReadSection(strings.NewReader(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return newRaw(data, section)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("From x\n>From y\nA: b\n c\nB :d\r\n\r\nbody"))
	f.Fuzz(func(t *testing.T, data []byte) {
		raw, err := Read(bytes.NewReader(data), mailbox.Single)
		if err != nil {
			return
		}
		if got := raw.Apply(nil); !bytes.HasPrefix(data, got) {
			t.Errorf("%q became %q", data, got)
		}
	})
}

func TestRawKeepsEveryByte(t *testing.T) {
	for _, c := range []struct {
		text, envelope, rest, eol string
		fields                    int
	}{
		{"From x\n>From y\nA: b\n c\nB :d\n\nbody", "From x\n>From y\n", "\nbody", "\n", 2},
		{"A: b\r\n\tc\r\n\r\n", "", "\r\n", "\r\n", 1},
		{"A: b", "", "", "\n", 1},
		{"A: b\nno field\nB: c\n", "", "no field\nB: c\n", "\n", 1},
		{" folded first\nA: b\n", "", " folded first\nA: b\n", "\n", 0},
		{"", "", "", "\n", 0},
	} {
		raw := readRaw(t, c.text)
		if string(raw.Envelope) != c.envelope || string(raw.Rest) != c.rest || len(raw.Fields) != c.fields || raw.EOL() != c.eol {
			t.Errorf("%q: %q %q %q %q", c.text, raw.Envelope, raw.Fields, raw.Rest, raw.EOL())
		}
		var all []byte
		for _, part := range append(append([][]byte{raw.Envelope}, raw.Fields...), raw.Rest) {
			all = append(all, part...)
		}
		if string(all) != c.text {
			t.Errorf("%q became %q", c.text, all)
		}
	}
}
