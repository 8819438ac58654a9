package hashheader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The bounds of a header section. They are the same for every program that
// reads one: a message over a bound is named by none of them.
const (
	MaxSectionSize   = 1 << 20 // bytes of names and values, as an MTA hands them to a milter
	MaxSectionFields = 2000
)

// MaxSectionRaw bounds the bytes from the beginning of a message to the end of
// its header section, line ends and skipped lines included: what a reader holds
// in memory.
const MaxSectionRaw = 2 * MaxSectionSize

// ErrSectionTooBig is returned for a header section over a bound.
var ErrSectionTooBig = fmt.Errorf("header section of more than %d bytes or %d fields", MaxSectionSize, MaxSectionFields)

// A Span is where a field lies in the bytes of a message. The name is
// data[Name:NameEnd]; the value, with its folds and its line end, is
// data[Value:End].
type Span struct{ Name, NameEnd, Value, End int }

// A Section finds the header section of a message. The zero Section is ready
// to use. Its rule is what Postfix and Sendmail do, so that every reader finds
// the fields that a milter is given:
//
//  1. Lines end in LF. The CRs directly before it belong to the line end.
//  2. A UTF-8 byte order mark at the start of the input, and lines of white
//     space alone and From_ lines ("From " and ">From ") before the first field
//     are skipped.
//  3. A field is a name of one or more bytes 33 to 126 without the colon,
//     optional SP and HTAB, a colon, and the rest of the line. A later line
//     that begins with SP or HTAB continues it, even one of white space alone.
//  4. The section ends at an empty line, at the first line that is neither a
//     field nor a continuation, or at the end of input.
//  5. A section of more than MaxSectionSize bytes or MaxSectionFields fields,
//     or one that ends behind MaxSectionRaw, is over the bound.
type Section struct {
	// Wants selects the fields that Spans lists; nil selects all. The other
	// fields still count towards the bounds.
	Wants func(name []byte) bool

	Spans []Span
	Start int // offset of the first field
	End   int // offset behind the last field

	pos    int // offset of the next line to read
	fields int
	size   int
	wanted bool // the last field is in Spans
	ended  bool // the line that ends the section was seen
	over   bool
}

// Reset makes the Section ready for another message.
func (s *Section) Reset() { *s = Section{Wants: s.Wants, Spans: s.Spans[:0]} }

// Scan reads the lines of data that it has not read yet, and reports whether
// it has found the end of the section. Data holds a message from its first
// byte on; a later call may pass more of it. Last says that no more follows.
func (s *Section) Scan(data []byte, last bool) (done bool) {
	for !s.ended && !s.over && s.pos < len(data) {
		line := data[s.pos:]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end+1]
		} else if !last && len(data) <= MaxSectionRaw {
			break
		}
		s.line(line)
	}
	return s.ended || s.over || last
}

// Err returns ErrSectionTooBig for a section over a bound.
func (s *Section) Err() error {
	if s.over {
		return ErrSectionTooBig
	}
	return nil
}

// line reads one line, with its line end if it has one.
func (s *Section) line(line []byte) {
	text := trimLineEnd(line)
	if s.fields > 0 && len(text) > 0 && isBlank(text[0]) {
		s.fold(len(line), len(text))
		return
	}
	begin := s.pos
	if begin == 0 && bytes.HasPrefix(text, byteOrderMark) {
		begin = len(byteOrderMark)
		text = text[begin:]
	}
	nameEnd, colon := fieldName(text)
	switch {
	case colon >= 0:
		s.field(begin, len(line), text, nameEnd, colon)
	case s.fields == 0 && isPreamble(text):
		s.pos += len(line)
		s.Start, s.End = s.pos, s.pos
		s.count(0, 0)
	default:
		s.ended = true
	}
}

// field begins a field at begin, in a line of n bytes. Text is the line without
// its line end and without a byte order mark.
func (s *Section) field(begin, n int, text []byte, nameEnd, colon int) {
	if s.fields == 0 {
		s.Start = begin
	}
	s.pos += n
	s.End = s.pos
	size := nameEnd + len(text) - colon - 1
	if colon+1 < len(text) && text[colon+1] == ' ' {
		size-- // MTAs strip it
	}
	s.count(1, size)
	s.wanted = s.Wants == nil || s.Wants(text[:nameEnd])
	if s.wanted {
		if s.Spans == nil {
			s.Spans = make([]Span, 0, 4) // what most readers want
		}
		s.Spans = append(s.Spans, Span{begin, begin + nameEnd, begin + colon + 1, s.End})
	}
}

// fold continues the last field by a line of n bytes, text of them before the
// line end.
func (s *Section) fold(n, text int) {
	s.pos += n
	s.End = s.pos
	s.count(0, 1+text)
	if s.wanted {
		s.Spans[len(s.Spans)-1].End = s.End
	}
}

func (s *Section) count(fields, size int) {
	s.fields += fields
	s.size += size
	s.over = s.fields > MaxSectionFields || s.size > MaxSectionSize || s.pos > MaxSectionRaw
}

// Header returns the fields of Spans, in order. Data is what Scan was given.
// Their values are as an MTA hands them to a milter, but for a leading space:
// folded with LF and without the line end.
func (s *Section) Header(data []byte) Header {
	if len(s.Spans) == 0 {
		return nil
	}
	return s.AppendHeader(make(Header, 0, len(s.Spans)), data)
}

// AppendHeader appends what Header returns to h.
func (s *Section) AppendHeader(h Header, data []byte) Header {
	size := 0
	for _, span := range s.Spans {
		size += span.End - span.Value
	}
	var values strings.Builder // one allocation for all
	values.Grow(size)
	for _, span := range s.Spans {
		start := values.Len()
		writeUnixLines(&values, data[span.Value:span.End])
		h = append(h, Field{intern(data[span.Name:span.NameEnd]), values.String()[start:]})
	}
	return h
}

// ReadSection reads the header section at the start of r, and returns all that
// it read: the section, and what the last read took of the body. It returns
// ErrSectionTooBig, or r's error.
func ReadSection(r io.Reader, wants func(name []byte) bool) (data []byte, s Section, err error) {
	const step = 16 << 10
	s.Wants = wants
	for done := false; !done; {
		data = slices.Grow(data, step)
		n, err := r.Read(data[len(data) : len(data)+step])
		data = data[:len(data)+n]
		if err != nil && !errors.Is(err, io.EOF) {
			return data, s, err
		}
		done = s.Scan(data, err != nil)
	}
	return data, s, s.Err()
}

// ReadHeader reads the header section at the start of r, and may read some of
// the body too. It returns ErrSectionTooBig, or r's error.
func ReadHeader(r io.Reader) (Header, error) {
	data, s, err := ReadSection(r, nil)
	if err != nil {
		return nil, err
	}
	return s.Header(data), nil
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// isPreamble reports whether a line may stand before a header section: white
// space, and the From_ lines of mailboxes.
func isPreamble(text []byte) bool {
	return len(bytes.Trim(text, " \t\r")) == 0 || IsFromLine(text)
}

// IsFromLine reports whether a line is a From_ line, which separates the
// messages of a mailbox, or a quoted one. "From :" begins a field.
func IsFromLine(line []byte) bool {
	_, colon := fieldName(line)
	return colon < 0 && bytes.HasPrefix(bytes.TrimPrefix(line, []byte{'>'}), []byte("From "))
}

// IsFieldLine reports whether a line begins a header field.
func IsFieldLine(line []byte) bool {
	_, colon := fieldName(line)
	return colon >= 0
}

// fieldName returns where the name that begins a line ends and where its colon
// stands; the colon is at -1 for a line that begins no field.
func fieldName(line []byte) (end, colon int) {
	for end < len(line) && nameByte[line[end]] {
		end++
	}
	colon = end
	for colon < len(line) && isBlank(line[colon]) {
		colon++
	}
	if end == 0 || colon == len(line) || line[colon] != ':' {
		return end, -1
	}
	return end, colon
}

// nameByte has the bytes of field names (RFC 5322, section 2.2).
var nameByte = func() (table [256]bool) {
	for c := '!'; c <= '~'; c++ {
		table[c] = c != ':'
	}
	return table
}()

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// trimLineEnd cuts the LF off a line, and the CRs before it. The last line of an
// input may lack the LF.
func trimLineEnd(line []byte) []byte {
	n := len(line)
	if n > 0 && line[n-1] == '\n' {
		n--
	}
	for n > 0 && line[n-1] == '\r' {
		n--
	}
	return line[:n]
}

// writeUnixLines writes a value without its line end, and with LF for the line
// ends of its folds.
func writeUnixLines(w *strings.Builder, value []byte) {
	value = trimLineEnd(value)
	if bytes.IndexByte(value, '\r') < 0 {
		w.Write(value)
		return
	}
	separator := ""
	for line := range bytes.Lines(value) {
		w.WriteString(separator)
		w.Write(trimLineEnd(line))
		separator = "\n"
	}
}

// intern returns a name, without a copy for the frequent ones.
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
