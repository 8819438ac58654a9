package conform

import (
	"fmt"
	"strings"
	"testing"

	"permalink-milter/hashheader/golden"
	shared "permalink-milter/hashheader/vectors"
)

// A finding is what a peer's golden file says: how many of the tests of a row
// it passed.
type finding struct {
	peer       string // with its version
	ran, right map[string]int
}

// The rows of the table. ID-1 has two: forms of ids that mailers and relays
// make, and broken or rare ones.
var peersRows = []struct{ key, title string }{
	{"mailer", "ID-1, forms that mailers make"}, {"odd", "ID-1, odd forms"},
	{"ID-2", "ID-2"}, {"SEC-1", "SEC-1"}, {"SEC-2", "SEC-2"}, {"LEG-1", "LEG-1"},
}

// TestPeersAreInTheDocuments makes the tables of what Debian ships from the
// golden files.
func TestPeersAreInTheDocuments(t *testing.T) {
	table := peersTable(t)
	golden.Equal(t, draftFolder+"peers.md", table)
	const page = "../../../config/archivers/README.md"
	text := read(t, page)
	const begin, end = "| test | Mailman", "\nA test makes this table"
	before, rest, found := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no table between %q and %q", page, begin, end)
	}
	golden.Equal(t, page, before+table+end+after)
}

// peersTable returns the table and, below it, how each peer differs.
func peersTable(t *testing.T) string {
	t.Helper()
	var findings []finding
	var differ strings.Builder
	head, line := "| test |", "|:--|"
	for _, p := range peers {
		f := readFinding(t, p)
		findings = append(findings, f)
		head, line = head+" "+f.peer+" |", line+":--|"
		fmt.Fprintf(&differ, "* %s: %s.\n", f.peer, p.differs)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", head, line)
	for _, row := range peersRows {
		b.WriteString("| " + row.title + " |")
		for _, f := range findings {
			if f.ran[row.key] == 0 {
				t.Errorf("%s ran no test of %s", f.peer, row.key)
			}
			fmt.Fprintf(&b, " %d of %d |", f.right[row.key], f.ran[row.key])
		}
		b.WriteString("\n")
	}
	return b.String() + "\n" + differ.String()
}

// readFinding counts what a peer's golden file lists.
func readFinding(t *testing.T, p peer) finding {
	t.Helper()
	first, rest, _ := strings.Cut(read(t, p.golden()), "\n")
	f := finding{first, make(map[string]int), make(map[string]int)}
	class := make(map[string]string)
	for _, v := range shared.Read(t, testdata) {
		class[v.Name] = v.Class
		f.ran[v.Class]++
		f.right[v.Class]++
	}
	for line := range strings.Lines(rest) {
		if id, test, wrong := strings.Cut(line, " - "); wrong {
			name, _, _ := strings.Cut(test, ": ")
			if id == "ID-1" {
				f.right[class[name]]--
			}
			continue
		}
		var id string
		var right, ran int
		if _, err := fmt.Sscanf(line, "%s %d of %d", &id, &right, &ran); err != nil {
			t.Fatalf("%s: %q: %v", p.golden(), line, err)
		}
		f.right[id], f.ran[id] = right, ran
	}
	if got, want := f.right["mailer"]+f.right["odd"], f.right["ID-1"]; got != want {
		t.Errorf("%s: %d of ID-1 by their classes, %d in all", first, got, want)
	}
	return f
}
