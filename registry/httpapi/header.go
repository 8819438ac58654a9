package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"permalink-milter/hashheader"
)

// The bounds of a header section.
const (
	maxHeaderBytes  = 1 << 20
	maxHeaderFields = 2000
)

// readHeader reads the header section of a message and leaves the rest. Lines
// end in LF or CRLF; an mbox's From_ line before it and empty lines before it,
// as people paste them, are skipped. A line that is no field ends it, as an
// empty one does.
func readHeader(r io.Reader) (hashheader.Header, error) {
	section := &io.LimitedReader{R: r, N: maxHeaderBytes + 1}
	in := bufio.NewReader(section)
	var h hashheader.Header
	var value []byte // the last field's: a string that grows fold by fold is copied each time
	defer func() { closeField(h, value) }()
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, bodyError(err)
		}
		if section.N == 0 || len(h) > maxHeaderFields {
			return nil, fmt.Errorf("%w: a header section of more than %d bytes or %d fields", errTooLarge, maxHeaderBytes, maxHeaderFields)
		}
		var more bool
		if h, value, more = addLine(h, value, bytes.TrimRight(line, "\r\n")); !more || err != nil {
			return h, nil
		}
	}
}

// addLine puts a line to a header section and tells if more may follow. Value
// is the last field's until closeField.
func addLine(h hashheader.Header, value, line []byte) (hashheader.Header, []byte, bool) {
	name, rest, isField := bytes.Cut(line, []byte{':'})
	switch {
	case len(h) == 0 && (len(line) == 0 || bytes.HasPrefix(line, []byte("From "))):
		return h, value, true
	case len(line) == 0:
		return h, value, false
	case len(h) > 0 && (line[0] == ' ' || line[0] == '\t'):
		return h, append(append(value, '\n'), line...), true
	case !isField || !isFieldName(bytes.TrimRight(name, " \t")):
		return h, value, false
	}
	closeField(h, value)
	return append(h, hashheader.Field{Name: string(name)}), append(value[:0], rest...), true
}

func closeField(h hashheader.Header, value []byte) {
	if len(h) > 0 {
		h[len(h)-1].Value = string(value)
	}
}

// isFieldName tells if a name is printable ASCII (RFC 5322, section 2.2).
func isFieldName(name []byte) bool {
	return len(name) > 0 && !slices.ContainsFunc(name, func(c byte) bool { return c <= ' ' || c >= 0x7f })
}
