package mailbox

import (
	"bytes"

	"permalink-milter/hashheader"
)

// parseHeader reads the header section at the start of data, LF or CRLF, and
// returns the wanted fields and the section's size. Whole tells if its end
// was seen: an empty line, or, as MTAs have it, the first line that is no
// field. Lines before it that an mbox added (From_, >From_) are passed over.
func parseHeader(data []byte, wants func(name []byte) bool) (h hashheader.Header, size int, whole bool) {
	pos := skipFromLines(data)
	from := -1 // where the value of the open, wanted field begins
	closeField := func() {
		if from >= 0 {
			h[len(h)-1].Value = string(trimEOL(data[from:pos]))
			from = -1
		}
	}
	for pos < len(data) {
		line := data[pos:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end+1]
		}
		if line[0] != ' ' && line[0] != '\t' {
			closeField()
			name := fieldName(line)
			if name == nil && line[len(line)-1] != '\n' {
				return h, len(data), false // a name that was cut
			}
			if name == nil {
				return h, pos, true
			}
			if wants == nil || wants(name) {
				if h == nil {
					h = make(hashheader.Header, 0, 4)
				}
				h = append(h, hashheader.Field{Name: intern(name)})
				from = pos + bytes.IndexByte(line, ':') + 1
			}
		}
		pos += len(line)
	}
	closeField()
	return h, pos, false
}

// intern returns a name, the frequent ones without a copy.
func intern(name []byte) string {
	switch string(name) {
	case "Message-ID":
		return "Message-ID"
	case "Message-Id":
		return "Message-Id"
	case "Message-ID-MD5":
		return "Message-ID-MD5"
	case "Archived-At":
		return "Archived-At"
	}
	return string(name)
}

// skipFromLines returns where the header begins behind a From_ line. Old
// delivery programs left several, the later ones quoted.
func skipFromLines(data []byte) int {
	pos := 0
	for isFromLine(data[pos:]) {
		end := bytes.IndexByte(data[pos:], '\n')
		if end < 0 {
			return len(data)
		}
		pos += end + 1
	}
	return pos
}

// isFromLine tells if a header section begins with a From_ line, quoted or
// not, and not with the field From and white space before its colon.
func isFromLine(data []byte) bool {
	data = bytes.TrimPrefix(data, []byte{'>'})
	return bytes.HasPrefix(data, fromPrefix) && fieldName(data) == nil
}

// fieldName returns the name of the field that a line begins, white space
// before the colon cut off (RFC 5322, section 4.5); nil where it begins none.
func fieldName(line []byte) []byte {
	end := 0
	for end < len(line) && nameByte[line[end]] {
		end++
	}
	rest := end
	for rest < len(line) && (line[rest] == ' ' || line[rest] == '\t') {
		rest++
	}
	if end == 0 || rest == len(line) || line[rest] != ':' {
		return nil
	}
	return line[:end]
}

// nameByte has the bytes of fields' names (RFC 5322, section 2.2), and NUL,
// which is told of elsewhere.
var nameByte = func() (table [256]bool) {
	for c := '!'; c <= '~'; c++ {
		table[c] = c != ':'
	}
	table[0] = true
	return table
}()

// trimEOL cuts the line end off a field's value; the folds inside stay.
func trimEOL(value []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(value, []byte{'\n'}), []byte{'\r'})
}

// headerEnd returns the size of the header section at the start of data, up
// to and with the empty line that ends it; -1 where that is not in data.
func headerEnd(data []byte) int {
	for pos := 0; ; {
		end := bytes.IndexByte(data[pos:], '\n')
		if end < 0 {
			return -1
		}
		if end == 0 || end == 1 && data[pos] == '\r' {
			return pos + end + 1
		}
		pos += end + 1
	}
}

func indexNUL(data []byte) int { return bytes.IndexByte(data, 0) }
