package headertest

import (
	"regexp"
	"strings"

	"permalink-milter/hashheader"
)

var (
	fieldLine = regexp.MustCompile(`(?s)\A([!-9;-~]+)[ \t]*:(.*)\z`)
	skipLine  = regexp.MustCompile(`(?s)\A([ \t\r]*|>?From .*)\z`)
)

// Read reads a header section as an MTA does that follows the rule, and returns
// its fields as a milter gets them: without the space behind the colon, folded
// by LF. Over is set for a section over a bound: no reader but this one finds
// fields in it.
//
// It shares no code with package hashheader, and says the rule in other words,
// so that a mistake in one of them shows.
func Read(message []byte) (h hashheader.Header, over bool) {
	var names []string
	var values [][]string // of each field, line by line
	for line := range strings.SplitSeq(strings.TrimPrefix(string(message), "\xef\xbb\xbf"), "\n") {
		line = strings.TrimRight(line, "\r")
		field := fieldLine.FindStringSubmatch(line)
		last := len(values) - 1
		switch {
		case last >= 0 && strings.IndexAny(line, " \t") == 0:
			values[last] = append(values[last], line)
			continue
		case field != nil:
			names = append(names, field[1])
			values = append(values, []string{strings.TrimPrefix(field[2], " ")})
			continue
		case last < 0 && skipLine.MatchString(line):
			continue
		}
		break
	}
	size := 0
	for i, lines := range values {
		value := strings.Join(lines, "\n")
		size += len(names[i]) + len(value)
		h = append(h, hashheader.Field{Name: names[i], Value: value})
	}
	return h, len(h) > 2000 || size > 1<<20
}
