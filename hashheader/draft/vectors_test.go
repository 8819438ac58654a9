package draft

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/vectors"
)

// form returns the form that a vector stands for: the shape of a mailer's
// field, or what is wrong with an odd one.
func form(v vectors.Vector) string {
	first, second, _ := strings.Cut(v.Name, "/")
	if v.Class == "mailer" && first != "published" && first != "long" {
		return second
	}
	return first
}

// fields returns the fields whose names contain Message-ID.
func fields(v vectors.Vector) string {
	var out strings.Builder
	inside := false
	for line := range strings.Lines(string(v.Header)) {
		if fold := line[0] == ' ' || line[0] == '\t'; !fold {
			name, _, _ := strings.Cut(line, ":")
			inside = strings.Contains(strings.ToLower(name), "message-id")
		}
		if inside {
			out.WriteString(line)
		}
	}
	return out.String()
}

// escape escapes bytes as the appendix describes.
func escape(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c == '\\':
			b.WriteString(`\\`)
		case c == '\r':
			b.WriteString(`\r`)
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, `\x%02X`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// width is the number of columns of a draft's text form.
const width = 69

// entryLine returns one line of an entry in the appendix, wrapped.
func entryLine(label, value string) string {
	return wrap(fmt.Sprintf("  %-7s ", label), value, "          ")
}

// wrap breaks a line at width and indents the rest. It breaks neither after a
// backslash nor before a space, since a reader strips the spaces at the start
// of the next line, and not within a domain, which idnits would read as two.
func wrap(start, value, indent string) string {
	line := start
	var b strings.Builder
	for len(line)+len(value) > width {
		cut := beforeDomain(value, width-1-len(line))
		for value[cut-1] == '\\' || value[cut] == ' ' {
			cut--
		}
		b.WriteString(line + value[:cut] + "\\\n")
		line, value = indent, value[cut:]
	}
	return b.String() + line + value + "\n"
}

// domainAtEnd matches the beginning of a domain that a cut has separated from
// its rest.
var domainAtEnd = regexp.MustCompile(`@[a-z0-9.-]+$`)

// beforeDomain returns the place directly before the domain that value[:cut]
// ends within, or cut if it does not.
func beforeDomain(value string, cut int) int {
	at := domainAtEnd.FindStringIndex(value[:cut])
	if at == nil || at[0] == 0 {
		return cut
	}
	return at[0]
}

func entry(t *testing.T, v vectors.Vector) string {
	out := v.Name + "\n" + entryLine("field", orDash(escape(fields(v)))) + entryLine("id", orDash(escape(string(v.Canonical))))
	if len(v.Canonical) == 0 {
		return out
	}
	for _, a := range hashheader.Algorithms {
		hash, err := a.Hash(v.Canonical)
		if err != nil {
			t.Fatal(err)
		}
		out += entryLine(strings.ToUpper(a.String()), hash)
	}
	return out
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func TestAppendix(t *testing.T) {
	var entries []string
	seen := make(map[string]bool)
	for _, v := range vectors.Read(t, "../../testdata") {
		if !seen[form(v)] {
			seen[form(v)] = true
			entries = append(entries, entry(t, v))
		}
	}
	if len(entries) < 40 {
		t.Errorf("the vectors have %d forms, want at least 40", len(entries))
	}
	generated(t, "vectors.txt", strings.Join(entries, "\n"))
}
