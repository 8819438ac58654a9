package mailbox

import (
	"bytes"
	"strings"

	"permalink-milter/hashheader"
)

// maxFromLines is the maximum size of the From_ lines before a header section,
// and of the name of its first field, in bytes.
const maxFromLines = 64 << 10

// A verdict is the answer to whether a line begins a message.
type verdict int

const (
	no verdict = iota
	yes
	more // the data ends before that is known
)

var fromPrefix = []byte("From ")

// A place says where in an mbox a line stands.
type place int

const (
	inText     place = iota
	afterEmpty       // behind an empty line
	atStart          // nothing but empty lines before it
)

// judgeFrom reports whether the line at the start of data begins a message. If
// yes, size is the size of the From_ lines before the header section. If no, it is
// the number of bytes that need not be judged again.
func judgeFrom(data []byte, p place, last bool) (v verdict, size int) {
	if !bytes.HasPrefix(data, fromPrefix) {
		if !last && bytes.HasPrefix(fromPrefix, data) {
			return more, 0
		}
		return no, 0
	}
	first, whole := lineOf(data, last)
	dated := hasDate(first)
	switch {
	case whole == more:
		return more, 0
	case whole == no, hashheader.IsFieldLine(first), p == inText && !dated && !isBare(first):
		return no, 0
	}
	size, v = headerBehind(data, len(first), last)
	if v == yes && !dated && p != atStart {
		v = judgeSection(data[size:], last)
	}
	return v, size
}

// headerBehind reports whether a field follows the From_ line of this size at the
// start of data, directly or after more From_ lines. It returns the position of
// that field.
func headerBehind(data []byte, size int, last bool) (int, verdict) {
	for {
		line, whole := lineOf(data[size:], last)
		switch {
		case hashheader.IsFieldLine(line):
			return size, yes
		case whole == more:
			return 0, more
		case whole == no, size > maxFromLines, !hashheader.IsFromLine(line):
			return size, no
		}
		size += len(line)
	}
}

// lineOf returns the first line of data, with its line end. The verdict is no if
// the line is too long or lacks its end.
func lineOf(data []byte, last bool) ([]byte, verdict) {
	line := data[:min(len(data), maxFromLines)]
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		return line[:end+1], yes
	}
	if last || len(line) == maxFromLines {
		return line, no
	}
	return line, more
}

// judgeSection reports whether the header section at the start of data is that of
// a message. The weights of its fields must add up to 2.
func judgeSection(data []byte, last bool) verdict {
	weight := 0
	section := hashheader.Section{Wants: func(name []byte) bool {
		weight += mailFields[strings.ToLower(string(name))]
		return false
	}}
	ended := section.Scan(data, last)
	switch {
	case weight >= 2:
		return yes
	case !ended:
		return more
	}
	return no
}

// mailFields has the weights of fields. Prose may quote those of weight 1.
var mailFields = map[string]int{
	"message-id": 2, "received": 2, "return-path": 2, "delivered-to": 2, "mime-version": 2, "content-type": 2,
	"x-mozilla-status": 2, "x-gm-thrid": 2, "list-id": 2, "list-post": 2, "in-reply-to": 2, "references": 2,
	"from": 1, "sender": 1, "reply-to": 1, "to": 1, "cc": 1, "bcc": 1, "subject": 1, "date": 1,
}

// isBare reports whether a From_ line is "From" or "From -" alone. Mozilla's
// programs write it so, and no sentence is broken there.
func isBare(line []byte) bool {
	return len(bytes.TrimSpace(bytes.TrimPrefix(line[len(fromPrefix):], []byte{'-'}))) == 0
}

// hasDate reports whether a From_ line has a time (9:05) followed by a year, as
// asctime writes them. There may be seconds or a zone between them.
func hasDate(line []byte) bool {
	for i := range line {
		if line[i] == ':' && i > 0 && i+2 < len(line) && digit(line[i-1]) && digit(line[i+1]) && digit(line[i+2]) {
			return hasYear(line[i+3:])
		}
	}
	return false
}

// hasYear reports whether text contains a number of four digits.
func hasYear(text []byte) bool {
	digits := 0
	for _, c := range text {
		if digit(c) {
			digits++
			continue
		}
		if digits == 4 {
			return true
		}
		digits = 0
	}
	return digits == 4
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
