package mailbox

import (
	"bytes"
	"strings"

	"permalink-milter/hashheader"
)

// maxFromLines bounds the From_ lines before a header section, and the name of
// its first field, in bytes.
const maxFromLines = 64 << 10

// A verdict says whether a line separates messages.
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

// judgeFrom reports whether data, which begins with a line, begins a message.
// For yes, size is that of the From_ lines before the header section. For no, it
// is how much needs no second look.
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

// headerBehind reports whether a field follows the From_ line that data begins
// with, perhaps after more From_ lines, and where.
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

// lineOf returns the line that data begins with, with its line end. The verdict
// is yes for a whole line, and no for one that is too long or lacks its end.
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

// judgeSection reports whether data begins with the header section of mail.
// It must hold a field that prose has no use for, or two of the others.
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

// mailFields has the fields that mail can be known by, and what each counts.
var mailFields = map[string]int{
	"message-id": 2, "received": 2, "return-path": 2, "delivered-to": 2, "mime-version": 2, "content-type": 2,
	"x-mozilla-status": 2, "x-gm-thrid": 2, "list-id": 2, "list-post": 2, "in-reply-to": 2, "references": 2,
	"from": 1, "sender": 1, "reply-to": 1, "to": 1, "cc": 1, "bcc": 1, "subject": 1, "date": 1,
}

// isBare reports whether a From_ line says nothing, as Mozilla's programs write
// it: "From" or "From -". No sentence ends there.
func isBare(line []byte) bool {
	return len(bytes.TrimSpace(bytes.TrimPrefix(line[len(fromPrefix):], []byte{'-'}))) == 0
}

// hasDate reports whether a From_ line has a time (9:05) and behind it a year:
// asctime's form, with or without a zone, and what programs write for it.
func hasDate(line []byte) bool {
	for i := range line {
		if line[i] == ':' && i > 0 && i+2 < len(line) && digit(line[i-1]) && digit(line[i+1]) && digit(line[i+2]) {
			return hasYear(line[i+3:])
		}
	}
	return false
}

// hasYear reports whether a text has a number of four digits.
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
