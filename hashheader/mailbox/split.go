package mailbox

import (
	"bytes"
	"errors"
	"io"
	"slices"

	"permalink-milter/hashheader"
)

// A splitter finds the messages of an mbox. It reads the mbox once, block by
// block, and keeps of a block only a header section that the next block goes on
// with.
type splitter struct {
	*scanner
	r       io.Reader
	at      io.ReaderAt // the same bytes, from where r is on
	length  lengths
	summary Summary
	heads   int   // what in the open message looks like the start of another one
	begun   int64 // offset of the open message

	base      int64 // offset of the buffer's first byte
	pos       int   // in the buffer; all bytes before it were looked at
	lineStart bool  // whether a line begins at pos
	first     bool  // whether only empty lines came before
	open      bool  // whether the end of the last span is not known yet
	skip      int64 // number of bytes behind the buffer that belong to a body
	landed    int64 // offset to which the last Content-Length led
}

// mbox sends the messages of an mbox, from point p on, which is where r stands.
// If at is not nil, it reads the same bytes as r, by their offsets in the mbox;
// otherwise mbox keeps the bytes that it has to read ahead. It returns an error
// only for r.
func (s *scanner) mbox(source string, r io.Reader, at io.ReaderAt, length lengths, p Point) error {
	s.flush()
	if at == nil {
		l := &lookahead{r: r}
		r, at = l, l
	}
	m := &splitter{scanner: s, r: r, at: at, length: length, base: p.Offset, lineStart: true, first: true,
		summary: Summary{Source: source, Format: Mbox, Messages: max(p.Index-1, 0)}}
	err := m.split()
	m.suspect()
	m.summary.Format = m.format()
	s.ended(m.summary)
	return err
}

// format returns MboxCL if Content-Length counts in the mbox, and else Mbox.
func (s *splitter) format() Format {
	if s.length == lengthsTrusted {
		return MboxCL
	}
	return Mbox
}

// Split returns the messages of an mbox, each with the From_ lines before it. A
// text that is not an mbox is returned as one message. Joined, the messages are
// the text.
func Split(text []byte) [][]byte {
	if len(text) == 0 || detect(text[:min(len(text), peekSize)]) != Mbox {
		return [][]byte{text}
	}
	var starts []int64
	s := &scanner{yield: func(b *batch) bool {
		for _, m := range b.spans {
			if m.Index > 0 {
				starts = append(starts, m.Start)
			}
		}
		return true
	}}
	s.b = newBatch(nil)
	_ = s.mbox("", bytes.NewReader(text), bytes.NewReader(text), lengthsUnknown, Point{}) // memory does not fail
	s.flush()
	var messages [][]byte
	begin := int64(0)
	for _, start := range starts[min(1, len(starts)):] {
		messages = append(messages, text[begin:start])
		begin = start
	}
	return append(messages, text[begin:])
}

// split sends all messages of the mbox. It returns an error only for s.r.
func (s *splitter) split() error {
	for {
		last, err := s.fill()
		s.cut(last)
		if s.open {
			s.closeLast(s.pos, last)
		}
		s.next(last)
		if last || s.stopped {
			return err
		}
	}
}

// fill reads until the buffer is full. It reports whether the mbox ends with the
// buffer, as it does after an error.
func (s *splitter) fill() (last bool, err error) {
	for s.skip > 0 && err == nil {
		room := s.b.buf[:cap(s.b.buf)]
		var n int
		n, err = s.r.Read(room[:min(int64(len(room)), s.skip)])
		s.skip -= int64(n)
		s.base += int64(n)
	}
	if len(s.b.buf) == cap(s.b.buf) {
		s.b.buf = slices.Grow(s.b.buf, cap(s.b.buf))
	}
	for err == nil && len(s.b.buf) < cap(s.b.buf) {
		var n int
		n, err = s.r.Read(s.b.buf[len(s.b.buf):cap(s.b.buf)])
		s.b.buf = s.b.buf[:len(s.b.buf)+n]
	}
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return err != nil, err
}

// behind is the number of bytes before pos that next keeps. They show whether
// the line before pos is empty.
const behind = 4

// next sends the batch, and begins another one with the bytes from pos on.
func (s *splitter) next(last bool) {
	from := max(0, s.pos-behind)
	if s.skip > 0 || last {
		from = s.pos // the bytes before pos are not those before the next block
	}
	carry := s.b.buf[from:]
	s.base += int64(from)
	s.pos -= from
	if len(s.b.spans) == 0 {
		s.b.buf = s.b.buf[:copy(s.b.buf, carry)]
		return
	}
	b := newBatch(s.free)
	b.buf = append(b.buf, carry...)
	s.stopped = s.stopped || !s.yield(s.b)
	s.b = b
}

// cut finds the messages that begin in the buffer. It leaves pos where the next
// block has to begin.
func (s *splitter) cut(last bool) {
	data := s.b.buf
	if s.first {
		s.begin(data, last)
	}
	for {
		s.pos, s.lineStart = nextF(data, s.pos, s.lineStart)
		if s.pos == len(data) {
			return
		}
		switch v, size := judgeFrom(data[s.pos:], s.place(), last); v {
		case more:
			return
		case yes:
			s.message(size, last)
		case no:
			s.text(data[s.pos:])
			s.pos += max(size-1, 0) // the line end makes the next line a start
			s.lineStart = false
		}
		s.first = false
	}
}

// place returns the place of the line that begins at pos. The end of a body that
// a Content-Length gave counts as an empty line.
func (s *splitter) place() place {
	before := bytes.TrimSuffix(s.b.buf[max(0, s.pos-behind):s.pos], []byte{'\n'})
	switch {
	case s.first:
		return atStart
	case s.landed > 0 && s.base+int64(s.pos)-s.landed <= 2, bytes.HasSuffix(bytes.TrimRight(before, "\r"), []byte{'\n'}):
		return afterEmpty
	}
	return inText
}

// nextF returns the position of the next line that begins with F. If there is
// none, it returns the length of data, and whether a line begins there. It is what
// runs over every byte of an mbox, so it searches for F, which is rarer than line
// ends.
func nextF(data []byte, pos int, lineStart bool) (int, bool) {
	if lineStart && (pos == len(data) || data[pos] == 'F') {
		return pos, true
	}
	if pos < len(data) {
		pos++ // no line starts there, or not with F
	}
	for {
		at := bytes.IndexByte(data[pos:], 'F')
		if at < 0 {
			return len(data), bytes.HasSuffix(data, []byte{'\n'})
		}
		pos += at
		if pos > 0 && data[pos-1] == '\n' {
			return pos, true
		}
		pos++
	}
}

// begin skips what may stand before the first From_ line of an mbox, and reports
// an mbox that does not begin with one.
func (s *splitter) begin(data []byte, last bool) {
	s.pos += skipBlank(data[s.pos:])
	rest := data[s.pos:]
	if len(rest) == 0 {
		return
	}
	if v, _ := judgeFrom(rest, atStart, last); v == no {
		s.fail(s.summary.Source, s.base+int64(s.pos), ErrNoFrom)
		s.first = false
	}
}

// skipBlank returns the number of bytes of the byte order mark and the empty
// lines at the start of data.
func skipBlank(data []byte) int {
	rest := bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), "\r\n")
	return len(data) - len(rest)
}

// message ends the open message, and opens the one whose From_ lines are at pos.
func (s *splitter) message(fromLines int, last bool) {
	if s.open {
		s.closeLast(s.pos, true)
	}
	s.suspect()
	s.summary.Messages++
	s.begun, s.heads = s.base+int64(s.pos), 0
	m := Message{Source: s.summary.Source, Index: s.summary.Messages, Start: s.begun, Offset: s.begun}
	s.report(span{Message: m, from: s.pos})
	s.open, s.lineStart = true, true
	if !s.jump(last) {
		s.pos += fromLines
	}
}

// closeLast ends the open message at end. If its header section may go on in the
// next block, closeLast drops the message and moves pos back to its start, so that
// it is read again as a whole.
func (s *splitter) closeLast(end int, ended bool) {
	s.open = false
	m := &s.b.spans[len(s.b.spans)-1]
	data := s.b.buf[m.from:end]
	switch {
	case ended || holdsSection(data):
		m.to, m.last, m.Format = end, end == len(s.b.buf), s.format()
	default:
		s.pos, s.lineStart = m.from, true
		s.summary.Messages--
		s.heads = 0
		s.b.spans = s.b.spans[:len(s.b.spans)-1]
	}
}

// text counts a line that begins with F and does not begin a message, if it looks
// like a From_ line or a From field.
func (s *splitter) text(line []byte) {
	switch {
	case bytes.HasPrefix(line, []byte("From:")):
		s.heads++
	case bytes.HasPrefix(line, fromPrefix) && !hashheader.IsFieldLine(line[:min(len(line), 80)]):
		s.heads++
		s.summary.textLine(s.base + int64(s.pos))
	}
}

// suspect adds the open message to the suspects if it looks like several.
func (s *splitter) suspect() {
	size := s.base + int64(s.pos) - s.begun
	if s.summary.Messages > 0 && size >= suspectSize && s.heads >= suspectHeads {
		s.summary.Suspects = append(s.summary.Suspects, Suspect{s.summary.Messages, s.begun, size, s.heads})
	}
}
