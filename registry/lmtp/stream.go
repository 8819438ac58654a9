package lmtp

import (
	"bufio"
	"bytes"
	"io"
	"strconv"
	"strings"
)

// A stream is what a client sends, in a form that go-smtp reads correctly. A
// command comes whole or not at all, since go-smtp would take the first half of
// one for all of it if the connection ends there. Apart from that, only the data
// of DATA (RFC 5321, section 4.1.1.4) differ from what was sent:
//
//   - Of several CRs before an LF, one is left. go-smtp takes CR CR LF for no
//     line end: the dot behind it would be data, and so would all commands that
//     a pipelining client sends next.
//   - A CR behind a dot that begins a line is doubled, unless it belongs to the
//     line end: go-smtp deletes it together with the dot.
//
// So data end at a line of one dot whose own end, and that of the line before,
// is LF with one or more CRs. An LF without a CR ends no line, and no data
// (RFC 5321, section 2.3.8).
//
// To know where data begin and end, a stream hands out no byte behind the line
// of a DATA command until go-smtp has answered it, and none behind the end of
// data together with what is before.
type stream struct {
	in  *bufio.Reader
	out bytes.Buffer // to be read next

	// Of commands.
	line  bytes.Buffer // that has no end yet
	word  int          // bytes of "DATA" that the line begins with, or notData
	asked bool         // the last line was a DATA command
	chunk uint64       // what is to come of a BDAT chunk (RFC 3030, section 2)

	// Of data.
	inData bool
	place  place
	crs    int // held back: they may belong to a line end
}

const notData = -1

// A place in a line of data.
type place int

const (
	lineStart place = iota
	lineDot         // behind a dot that begins the line
	lineRest
)

func newStream(r io.Reader) *stream { return &stream{in: bufio.NewReader(r)} }

// Read implements io.Reader. It waits only for the first byte.
func (s *stream) Read(p []byte) (int, error) {
	for s.out.Len() == 0 {
		if err := s.fill(); err != nil {
			return 0, err
		}
	}
	return s.out.Read(p)
}

// fill takes what has come, up to the end of data or of a DATA command.
func (s *stream) fill() error {
	_, err := s.in.Peek(1)
	for last := false; err == nil && !last && s.in.Buffered() > 0; {
		piece, _ := s.in.Peek(s.in.Buffered())
		n := s.rest(piece)
		s.pass(piece[:n])
		if n == 0 {
			last = s.take(piece[0])
			n = 1
		}
		_, err = s.in.Discard(n)
	}
	return err
}

// rest returns how many bytes of a piece are within a line whose beginning
// decided all that matters of it.
func (s *stream) rest(piece []byte) int {
	stop := byte('\n')
	switch {
	case s.chunk > 0:
		return int(min(uint64(len(piece)), s.chunk))
	case s.inData && s.place == lineRest && s.crs == 0:
		stop = '\r'
	case s.inData || s.word != notData:
		return 0
	}
	if end := bytes.IndexByte(piece, stop); end >= 0 {
		return end
	}
	return len(piece)
}

// pass passes bytes on, those of a command when its line has ended or is longer
// than go-smtp takes.
func (s *stream) pass(p []byte) {
	switch {
	case s.chunk > 0:
		s.chunk -= uint64(len(p))
		s.out.Write(p)
	case s.inData:
		s.out.Write(p)
	default:
		s.line.Write(p)
		if s.line.Len() > maxLine {
			s.line.WriteTo(&s.out)
		}
	}
}

func (s *stream) take(c byte) (last bool) {
	if s.inData {
		return s.takeData(c)
	}
	return s.takeCommand(c)
}

// takeCommand takes a byte of a command. It reports true at the end of a line that
// may be a DATA command.
func (s *stream) takeCommand(c byte) bool {
	const command = "DATA"
	s.pass([]byte{c})
	s.asked = c == '\n' && s.word == len(command)
	switch {
	case c == '\n':
		s.word, s.chunk = 0, chunkSize(s.line.Bytes())
		s.line.WriteTo(&s.out)
	case s.word == notData || s.word == len(command):
	case c&^0x20 == command[s.word]: // in either case
		s.word++
	default:
		s.word = notData
	}
	return s.asked
}

// chunkSize returns the length of the chunk behind a line, 0 if it is no BDAT
// command that go-smtp understands.
func chunkSize(line []byte) uint64 {
	words := strings.Fields(string(line))
	if len(words) < 2 || !strings.EqualFold(words[0], "BDAT") {
		return 0
	}
	size, err := strconv.ParseUint(words[1], 10, 32)
	if err != nil {
		return 0
	}
	return size
}

// begin makes data of what follows, for go-smtp has accepted a DATA command.
func (s *stream) begin() {
	s.inData, s.place = s.asked, lineStart
}

// takeData takes a byte of data. It reports true at the end of data.
func (s *stream) takeData(c byte) bool {
	switch {
	case c == '\r' && s.crs < maxLine:
		s.crs++
		return false
	case c == '\n' && s.crs > 0:
		s.out.WriteString("\r\n")
		s.inData = s.place != lineDot
		s.place, s.crs = lineStart, 0
		return !s.inData
	case c == '.' && s.crs == 0 && s.place == lineStart:
		s.place = lineDot
	default:
		s.release()
		s.place = lineRest
	}
	s.out.WriteByte(c)
	return false
}

// release passes on the CRs that are in the middle of a line.
func (s *stream) release() {
	if s.place == lineDot && s.crs > 0 {
		s.crs++
	}
	for ; s.crs > 0; s.crs-- {
		s.out.WriteByte('\r')
	}
}
