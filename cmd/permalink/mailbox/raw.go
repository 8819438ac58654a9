package mailbox

import (
	"bytes"

	"permalink-milter/hashheader"
)

// Raw is a message taken apart so that it can be put together again byte by
// byte.
type Raw struct {
	Envelope []byte   // the From_ lines before the header
	Fields   [][]byte // each with its folds and line ends
	Rest     []byte   // from the end of the header section on
}

// ParseRaw takes apart the start of a message, its header section at least.
func ParseRaw(data []byte) Raw {
	pos := skipFromLines(data)
	raw := Raw{Envelope: data[:pos]}
	for pos < len(data) {
		end := fieldEnd(data[pos:])
		if fieldName(data[pos:]) == nil || data[pos] == ' ' || data[pos] == '\t' {
			break
		}
		raw.Fields = append(raw.Fields, data[pos:pos+end])
		pos += end
	}
	raw.Rest = data[pos:]
	return raw
}

// fieldEnd returns the size of the field at the start of data, folds and line
// end included.
func fieldEnd(data []byte) int {
	for pos := 0; ; {
		end := bytes.IndexByte(data[pos:], '\n')
		if end < 0 {
			return len(data)
		}
		pos += end + 1
		if pos == len(data) || data[pos] != ' ' && data[pos] != '\t' {
			return pos
		}
	}
}

// Header returns the fields as a decision reads them.
func (r Raw) Header() hashheader.Header {
	h := make(hashheader.Header, len(r.Fields))
	for i, raw := range r.Fields {
		h[i] = hashheader.Field{Name: string(fieldName(raw)), Value: string(trimEOL(raw[bytes.IndexByte(raw, ':')+1:]))}
	}
	return h
}

// EOL returns how the message's lines end: as its first does.
func (r Raw) EOL() string {
	for _, part := range [][]byte{r.Envelope, bytes.Join(r.Fields, nil), r.Rest} {
		if end := bytes.IndexByte(part, '\n'); end >= 0 {
			if end > 0 && part[end-1] == '\r' {
				return "\r\n"
			}
			return "\n"
		}
	}
	return "\n"
}

// HeaderSize returns the size of the header section at the start of data up
// to and with the empty line behind it, -1 where data does not hold its end.
func HeaderSize(data []byte) int { return headerEnd(data) }
