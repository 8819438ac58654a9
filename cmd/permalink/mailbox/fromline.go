package mailbox

import (
	"bytes"

	"permalink-milter/hashheader"
)

// maxFromLine bounds a From_ line and the name of the field behind it, in
// bytes.
const maxFromLine = 1000

// A verdict on whether a line is a From_ line.
type verdict int

const (
	no verdict = iota
	yes
	more // the data ends before it can be told
)

var fromPrefix = []byte("From ")

// judgeFrom tells if data begins with a From_ line. Bodies hold lines that
// begin with From and a space: mboxo and mboxrd quote them, but not every
// program did. A From_ line of the format has a time and a year, and what
// stands behind it is a header field. The first line of a file need not have
// the time.
func judgeFrom(data []byte, first, last bool) verdict {
	if !bytes.HasPrefix(data, fromPrefix) {
		if !last && bytes.HasPrefix(fromPrefix, data) {
			return more
		}
		return no
	}
	end := bytes.IndexByte(data[:min(len(data), maxFromLine)], '\n')
	switch {
	case end < 0 && (last || len(data) >= maxFromLine):
		return no
	case end < 0:
		return more
	case !first && !hasDate(data[len(fromPrefix):end]), hashheader.IsFieldLine(data[:end]):
		return no
	}
	return judgeField(data[end+1:], last)
}

// judgeField tells if data begins with a header field, or with the quoted
// From_ line of an earlier delivery.
func judgeField(data []byte, last bool) verdict {
	line := data[:min(len(data), maxFromLine)]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line = line[:end+1]
	} else if !last && len(line) < maxFromLine && bytes.IndexByte(line, ':') < 0 {
		return more
	}
	if hashheader.IsFieldLine(line) || bytes.HasPrefix(line, []byte(">From ")) {
		return yes
	}
	return no
}

// hasDate tells if a text has a time (9:05) and behind it a year: asctime's
// form, with or without a zone, and the forms that are seen for it.
func hasDate(text []byte) bool {
	colon := bytes.IndexByte(text, ':')
	if colon < 1 || colon+2 >= len(text) || !digit(text[colon-1]) || !digit(text[colon+1]) || !digit(text[colon+2]) {
		return false
	}
	digits := 0
	for _, c := range text[colon+3:] {
		if !digit(c) {
			if digits == 4 {
				return true
			}
			digits = 0
			continue
		}
		digits++
	}
	return digits == 4
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
