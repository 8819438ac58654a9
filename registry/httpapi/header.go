package httpapi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

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
	for {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, bodyError(err)
		}
		if section.N == 0 || len(h) > maxHeaderFields {
			return nil, fmt.Errorf("%w: a header section of more than %d bytes or %d fields", errTooLarge, maxHeaderBytes, maxHeaderFields)
		}
		var more bool
		if h, more = addLine(h, bytes.TrimRight(line, "\r\n")); !more || err != nil {
			return h, nil
		}
	}
}

// addLine puts a line to a header section and tells if more may follow.
func addLine(h hashheader.Header, line []byte) (hashheader.Header, bool) {
	name, value, isField := strings.Cut(string(line), ":")
	switch {
	case len(h) == 0 && (len(line) == 0 || bytes.HasPrefix(line, []byte("From "))):
		return h, true
	case len(line) == 0:
		return h, false
	case len(h) > 0 && (line[0] == ' ' || line[0] == '\t'):
		h[len(h)-1].Value += "\n" + string(line)
		return h, true
	case !isField || !isFieldName(strings.TrimRight(name, " \t")):
		return h, false
	}
	return append(h, hashheader.Field{Name: name, Value: value}), true
}

// isFieldName tells if a name is printable ASCII (RFC 5322, section 2.2).
func isFieldName(name string) bool {
	return name != "" && !slices.ContainsFunc([]byte(name), func(c byte) bool { return c <= ' ' || c >= 0x7f })
}
