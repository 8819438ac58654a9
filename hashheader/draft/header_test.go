package draft

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/hashheader"
)

// A headerCase is a message of testdata/header and the canonical Message-ID
// that the draft's "Header Sections" finds in it.
type headerCase struct {
	name    string
	message []byte
	id      string // empty: none
	over    bool   // the section is over the draft's bound
}

// headerCases reads want.tsv, whose README explains the second column.
func headerCases(t *testing.T) (cases []headerCase) {
	t.Helper()
	const folder = "../../testdata/header"
	want, err := os.ReadFile(filepath.Join(folder, "want.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	_, rows, _ := strings.Cut(string(want), "\n")
	for row := range strings.Lines(rows) {
		name, id, _ := strings.Cut(strings.TrimSuffix(row, "\n"), "\t")
		message, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		c := headerCase{name: name, message: message, over: strings.HasPrefix(id, "(over")}
		if !c.over {
			c.id = strings.ReplaceAll(id, `\0`, "\x00")
		}
		cases = append(cases, c)
	}
	if len(cases) < 27 {
		t.Fatalf("%d cases, want at least 27", len(cases))
	}
	return cases
}

// edgeCases holds the bounds themselves, which would be large as files.
func edgeCases() []headerCase {
	const from, id = "From: a@b.example\n", "Message-ID: <x@y>\n"
	filled := func(before string, size int) []byte {
		counted := len("From" + "a@b.example" + "X" + "Message-ID" + "<x@y>")
		return []byte(before + "X: " + strings.Repeat("y", size-counted) + "\r\n" + id + "\n")
	}
	long := strings.Repeat("x", 996) + "@y"
	return []headerCase{
		{name: "1 MiB", message: filled(from, 1<<20), id: "x@y"},
		{name: "1 MiB and a byte", message: filled(from, 1<<20+1), over: true},
		{name: "1 MiB and what is skipped", message: filled("\ufeff\n \nFrom x\n"+from, 1<<20), id: "x@y"},
		{name: "1 MiB and a byte, and what is skipped", message: filled("\ufeff\n \nFrom x\n"+from, 1<<20+1), over: true},
		{name: "2 MiB of empty lines", message: append(bytes.Repeat([]byte("\n"), 2<<20), from+id...), over: true},
		{name: "a body of 2 MiB", message: append([]byte(from+id+"\n"), make([]byte, 2<<20)...), id: "x@y"},
		{name: "an id of 998 octets", message: []byte("Message-ID: <" + long + ">\n"), id: long},
		{name: "an id of 999 octets before another", message: []byte("Message-ID: <x" + long + ">\n" + id)},
		{name: "nothing", message: []byte{}},
	}
}

func TestPythonReadsHeaderSectionsByTheRule(t *testing.T) {
	cases := append(headerCases(t), edgeCases()...)
	var messages [][]byte
	for _, c := range cases {
		messages = append(messages, c.message)
	}
	for i, got := range describe(t, messages) {
		c := cases[i]
		var id string
		if got.Canonical != nil {
			id = string(*got.Canonical)
		}
		if code, over := codeFinds(t, c.message); code != c.id || over != c.over {
			t.Errorf("%s: the code finds %q, over the bound: %v, want %q, %v", c.name, code, over, c.id, c.over)
		}
		if id != c.id || got.Over != c.over || got.Canonical != nil && id == "" {
			t.Errorf("%s: Message-ID %q, over the bound: %v, want %q, %v", c.name, id, got.Over, c.id, c.over)
		}
	}
}

// codeFinds returns the canonical Message-ID that hashheader finds.
func codeFinds(t *testing.T, message []byte) (id string, over bool) {
	t.Helper()
	h, err := hashheader.ReadHeader(bytes.NewReader(message))
	if errors.Is(err, hashheader.ErrSectionTooBig) {
		return "", true
	}
	canonical, bad := h.MessageID()
	if err != nil || bad != nil && !errors.Is(bad, hashheader.ErrLongID) {
		t.Fatal(err, bad)
	}
	if bad != nil {
		return "", false
	}
	return string(canonical), false
}

// TestPythonStampsEachHeaderSectionOnce checks that stamping keeps the id that
// the rule finds, gives an id to a message that has none, and changes nothing
// the second time or in a message over the bounds.
func TestPythonStampsEachHeaderSectionOnce(t *testing.T) {
	stamp := func(t *testing.T, message string) string {
		return python(t, message, "stamp", "https://lists.example.org/{token}", "devel@lists.example.org")
	}
	for _, c := range headerCases(t) {
		if c.name == "44-2000-fields.eml" {
			continue // with ours, it is over the bounds
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stamped := stamp(t, string(c.message))
			if c.over {
				if stamped != string(c.message) {
					t.Error("a message over the bounds was changed")
				}
				return
			}
			id := describe(t, [][]byte{[]byte(stamped)})[0].Canonical
			if c.name == "43-999-octets.eml" {
				if id != nil || stamped != string(c.message) {
					t.Error("a message that nothing names was changed")
				}
				return
			}
			if id == nil || c.id != "" && string(*id) != c.id {
				t.Errorf("stamped, it has the id %v, want %q", id, c.id)
			}
			if again := stamp(t, stamped); again != stamped {
				t.Errorf("the second stamp changes\n%q to\n%q", stamped, again)
			}
		})
	}
}
