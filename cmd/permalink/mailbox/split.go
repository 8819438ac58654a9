package mailbox

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

// A splitter cuts an mbox at its From_ lines. It goes through the mbox once,
// block by block, and carries from one to the next only a header section
// whose end was not seen yet.
type splitter struct {
	*scanner
	source string
	r      io.Reader
	at     io.ReaderAt // the same bytes; nil where they can be read only once
	length lengths

	index     int   // of the last message
	base      int64 // offset of the buffer's first byte
	pos       int   // in the buffer: what comes before is dealt with
	lineStart bool  // pos is the start of a line
	first     bool  // nothing but empty lines was seen
	open      bool  // the last span has no end yet
	skip      int64 // bytes of a body behind the buffer to pass over
	landed    bool  // a Content-Length led here unchecked
}

// mbox scans an mbox. Its error is the reader's.
func (s *scanner) mbox(source string, r io.Reader, at io.ReaderAt, length lengths) error {
	s.flush()
	m := &splitter{scanner: s, source: source, r: r, at: at, length: length, lineStart: true, first: true}
	return m.split()
}

// split sends all messages of the mbox. Its error is the reader's.
func (s *splitter) split() error {
	for {
		last, err := s.fill()
		s.cut(last)
		if s.open {
			s.closeLast(s.pos, last)
		}
		s.next()
		if last || s.stopped {
			return err
		}
	}
}

// fill reads until the buffer is full. Last is set at the end, and where an
// error makes one.
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

// next sends the batch and begins another with what is to be carried over.
func (s *splitter) next() {
	carry := s.b.buf[s.pos:]
	s.base += int64(s.pos)
	s.pos = 0
	if len(s.b.spans) == 0 {
		s.b.buf = s.b.buf[:copy(s.b.buf, carry)]
		return
	}
	b := newBatch(s.free)
	b.buf = append(b.buf, carry...)
	s.stopped = s.stopped || !s.yield(s.b)
	s.b = b
}

// cut finds the messages that begin in the buffer. Behind it, pos is where
// the next block is to go on.
func (s *splitter) cut(last bool) {
	data := s.b.buf
	if s.lineStart {
		s.begin(data, last)
	}
	for {
		s.pos, s.lineStart = nextF(data, s.pos, s.lineStart)
		if s.pos == len(data) {
			return
		}
		switch judgeFrom(data[s.pos:], s.first, last) {
		case more:
			return
		case yes:
			s.message(last)
		case no:
			s.lineStart = false
		}
		s.first = false
	}
}

// nextF returns where the next line that begins with F begins, or the end of
// data and whether that is the start of a line. It goes through every byte of
// an mbox; F is rarer than line ends.
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

// begin looks at the start of the mbox, and at where a Content-Length led to
// unchecked: a From_ line should be there, empty lines before it allowed.
func (s *splitter) begin(data []byte, last bool) {
	if !s.first && !s.landed {
		return
	}
	for s.pos < len(data) && (data[s.pos] == '\n' || data[s.pos] == '\r') {
		s.pos++
	}
	rest := data[s.pos:]
	if len(rest) == 0 {
		return
	}
	astray := judgeFrom(rest, s.first, last) == no
	switch {
	case astray && s.first:
		s.fail(s.source, s.base+int64(s.pos), ErrNoFrom)
	case astray:
		s.report(span{Message: Message{Source: s.source, Index: s.index, Offset: s.base + int64(s.pos), Err: ErrLength}})
	}
	s.first, s.landed = s.first && !astray, false
}

// message begins a message with the From_ line at pos, and ends the one
// before.
func (s *splitter) message(last bool) {
	if s.open {
		s.closeLast(s.pos, true)
	}
	s.index++
	start := s.base + int64(s.pos)
	s.report(span{Message: Message{Source: s.source, Index: s.index, Start: start, Offset: start}, from: s.pos})
	s.open, s.lineStart = true, false
	s.jump(last)
}

// closeLast ends the open message at end. Where that is not known to be its
// end and its header section goes on, it is taken back, and pos with it, to
// be read again with more of it.
func (s *splitter) closeLast(end int, ended bool) {
	s.open = false
	m := &s.b.spans[len(s.b.spans)-1]
	data := s.b.buf[m.from:end]
	switch {
	case ended || holdsSection(data):
		m.to, m.last = end, end == len(s.b.buf)
	default:
		s.pos, s.lineStart = m.from, true
		s.index--
		s.b.spans = s.b.spans[:len(s.b.spans)-1]
	}
}
