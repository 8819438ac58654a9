// Package draft holds the Internet-Draft against the code: the grammar, the
// tables and the examples of hashheader/draft are what the programs do.
// Run it with -update to write the examples and the appendix anew.
package draft

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/golden"
)

const (
	dir  = "."
	text = dir + "/draft-hashed-message-id-00.md"
)

// generated compares a file that the draft includes with what the programs make.
func generated(t *testing.T, name, want string) {
	t.Helper()
	golden.Equal(t, filepath.Join(dir, name), want)
}

func draft(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// section returns the text from a heading to the next one.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, rest, ok := strings.Cut(draft(t), "\n"+heading)
	if !ok {
		t.Fatalf("no heading %q", heading)
	}
	body, _, _ := strings.Cut(rest, "\n#")
	return body
}

// table returns the cells of a section's table, without its head.
func table(t *testing.T, heading string) (rows [][]string) {
	t.Helper()
	for line := range strings.Lines(section(t, heading)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		rows = append(rows, cells)
	}
	if len(rows) < 3 {
		t.Fatalf("%s: no table", heading)
	}
	return rows[2:]
}

func TestAlgorithmsAreTheCodes(t *testing.T) {
	rows := table(t, "## Algorithms")
	if len(rows) != len(hashheader.Algorithms) {
		t.Errorf("%d algorithms, the code has %d", len(rows), len(hashheader.Algorithms))
	}
	for _, row := range rows {
		a, err := hashheader.ParseAlgorithm(row[0])
		if err != nil {
			t.Error(err)
			continue
		}
		if a.FieldName() != "Message-ID-"+row[0] || strconv.Itoa(a.HashLen()) != row[3] {
			t.Errorf("%v: the code has %s of %d characters", row, a.FieldName(), a.HashLen())
		}
	}
}

func TestTemplateNamesAreTheCodes(t *testing.T) {
	p := hashheader.Permalink{List: "devel@lists.example.org", ListID: "id", Token: "T", MessageID: []byte("abc@example.org"), Date: "24 Nov 2026 11:00 +0000"}
	known := 0
	for _, row := range table(t, "## URL Templates") {
		for name := range strings.SplitSeq(row[0], ", ") {
			template, err := hashheader.ParseTemplate("https://a.example/{token}/{" + name + "}")
			if err == nil {
				_, err = template.Expand(p)
			}
			if err != nil {
				t.Error(err)
			}
			known++
		}
	}
	_, err := hashheader.ParseTemplate("https://a.example/{?}")
	if listed := strings.Count(err.Error(), "{") - 2; listed != known {
		t.Errorf("%d names, the code has %d: %v", known, listed, err)
	}
}

func TestRegisteredNamesAreTheCodes(t *testing.T) {
	for _, row := range table(t, "# IANA Considerations") {
		if err := hashheader.CheckFieldName(row[0]); err != nil {
			t.Error(err)
		}
		emitted := hashheader.CheckEmittedName(row[0]) == nil
		if emitted == strings.HasPrefix(row[0], "X-") {
			t.Errorf("%s: written by the code: %v", row[0], emitted)
		}
	}
}

func TestLargestOrdinalIsTheCodes(t *testing.T) {
	found := regexp.MustCompile(`the largest is (\d+)`).FindStringSubmatch(section(t, "## Tokens"))
	if found == nil || found[1] != strconv.Itoa(hashheader.MaxOrdinal) {
		t.Errorf("%q, the code has %d", found, hashheader.MaxOrdinal)
	}
}
