package mtatest

import (
	"bytes"
	"strings"
	"time"
)

// Message is what the sink got in one SMTP transaction.
type Message struct {
	// From and To are the envelope's addresses without angle brackets; From is "" for a bounce.
	From string
	To   []string
	// Params are the parameters of MAIL FROM, such as "BODY=8BITMIME" or "SMTPUTF8".
	Params []string
	// Data is the message as it was on the wire, with CRLF line ends, dot-stuffing undone.
	Data []byte
	// Received is when its last byte came.
	Received time.Time
}

// RawHeader is the header section with the CRLF that ends its last field, without the empty line (RFC 5322, section 2.1).
func (m Message) RawHeader() []byte {
	header, _ := m.split()
	return header
}

// Body is what follows the empty line, nil when there is none.
func (m Message) Body() []byte {
	_, body := m.split()
	return body
}

func (m Message) split() (header, body []byte) {
	if body, ok := bytes.CutPrefix(m.Data, []byte("\r\n")); ok {
		return nil, body
	}
	end := bytes.Index(m.Data, []byte("\r\n\r\n"))
	if end < 0 {
		return m.Data, nil
	}
	return m.Data[:end+2], m.Data[end+4:]
}

// Fields lists the header fields in order, each whole: name, colon, value with its folds, and the last CRLF.
func (m Message) Fields() []string {
	var fields []string
	for rest := string(m.RawHeader()); rest != ""; {
		end := fieldEnd(rest)
		fields = append(fields, rest[:end])
		rest = rest[end:]
	}
	return fields
}

// fieldEnd returns where the first field of a header section ends: at a line that does not begin with white space.
func fieldEnd(header string) int {
	for end := 0; ; {
		line := strings.Index(header[end:], "\r\n")
		if line < 0 {
			return len(header)
		}
		end += line + len("\r\n")
		if end == len(header) || header[end] != ' ' && header[end] != '\t' {
			return end
		}
	}
}

// Raw returns the values of the fields of one name, in order and byte for byte: all that stands between the colon
// and the field's last CRLF, with leading space and folds. The name's case does not count.
func (m Message) Raw(name string) []string {
	var values []string
	for _, field := range m.Fields() {
		got, value, ok := strings.Cut(field, ":")
		if ok && strings.EqualFold(strings.TrimRight(got, " \t"), name) {
			values = append(values, strings.TrimSuffix(value, "\r\n"))
		}
	}
	return values
}

// Header returns the same values unfolded (RFC 5322, section 2.2.3), without white space at both ends.
func (m Message) Header(name string) []string {
	values := m.Raw(name)
	for i, v := range values {
		values[i] = strings.Trim(strings.ReplaceAll(v, "\r\n", ""), " \t")
	}
	return values
}
