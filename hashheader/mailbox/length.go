package mailbox

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"

	"permalink-milter/hashheader"
)

// lengths says whether Content-Length counts in an mbox, as in mboxcl and
// mboxcl2. Bodies may then contain From_ lines.
type lengths int

const (
	lengthsUnknown lengths = iota // the first message decides
	lengthsIgnored
	lengthsTrusted
)

// maxBody is the maximum size of a body that a Content-Length may give. The bytes
// behind the body decide whether it is right, and a pipe's bytes up to there are
// kept in memory.
const maxBody = 64 << 20

// jump moves pos from a From_ line to the end of that message's body, and reports
// whether it did. It does if the message has a Content-Length that leads to a From_
// line or to the end, and if the first message had one, too. Otherwise the field
// cannot be relied on: many programs edited messages and did not update it.
func (s *splitter) jump(last bool) bool {
	if s.length == lengthsIgnored {
		return false
	}
	data := s.b.buf
	size, n, ok := contentLength(data[s.pos:])
	if size < 0 {
		return false // the message will be seen again, with more of it
	}
	to := int64(s.pos+size) + n
	ok = ok && n <= maxBody && s.landsWell(to, last)
	if s.length == lengthsUnknown {
		s.length = lengthsIgnored
		if ok {
			s.length = lengthsTrusted
		}
	}
	if !ok {
		return false
	}
	s.lineStart, s.landed = true, s.base+to
	s.pos = int(min(to, int64(len(data))))
	s.skip = to - int64(s.pos)
	return true
}

// contentLength returns the size of the header section at the start of data,
// including the empty line behind it, and the value of its first Content-Length.
// The size is -1 if data does not contain the whole section.
func contentLength(data []byte) (size int, n int64, ok bool) {
	section := hashheader.Section{Wants: func(name []byte) bool { return bytes.EqualFold(name, []byte("Content-Length")) }}
	if !section.Scan(data, false) {
		return -1, 0, false
	}
	size = section.End
	if line := bytes.IndexByte(data[size:], '\n'); line >= 0 && len(bytes.TrimRight(data[size:size+line], "\r")) == 0 {
		size += line + 1
	}
	value, ok := section.Header(data).First("Content-Length")
	if !ok {
		return size, 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 48)
	return size, n, err == nil && n >= 0
}

// landsWell reports whether a message may end at position to, which may lie behind
// the buffer. A From_ line or the end of the mbox must follow, with or without an
// empty line before it.
func (s *splitter) landsWell(to int64, last bool) bool {
	data := s.b.buf
	have := int64(len(data))
	if to > have {
		// The byte before to shows whether the file is that long.
		var room [8]byte
		n, _ := s.at.ReadAt(room[:], s.base+to-1)
		return !last && n > 0 && landing(room[1:n])
	}
	rest := slices.Clone(data[to:min(to+8, have)])
	if len(rest) < 8 && !last {
		var room [8]byte
		n, _ := s.at.ReadAt(room[:], s.base+have)
		rest = append(rest, room[:n]...)
	}
	return landing(rest)
}

func landing(rest []byte) bool {
	rest = bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte{'\r'}), []byte{'\n'})
	return len(rest) == 0 || bytes.HasPrefix(rest, fromPrefix)
}

// A lookahead reads from a pipe or a decompressor, and lets its next bytes be read
// before their turn.
type lookahead struct {
	r     io.Reader
	start int64  // offset of the next byte that Read returns
	ahead []byte // what was read of it
	err   error
}

func (l *lookahead) Read(p []byte) (n int, err error) {
	switch {
	case len(l.ahead) > 0:
		n = copy(p, l.ahead)
		if l.ahead = l.ahead[n:]; len(l.ahead) == 0 {
			l.ahead = nil // it may have been large
		}
	case l.err != nil:
		return 0, l.err
	default:
		n, err = l.r.Read(p)
	}
	l.start += int64(n)
	return n, err
}

// ReadAt reads at an offset that Read has not passed.
func (l *lookahead) ReadAt(p []byte, offset int64) (n int, err error) {
	for want := offset - l.start + int64(len(p)); l.err == nil && int64(len(l.ahead)) < want; {
		l.ahead = slices.Grow(l.ahead, blockSize)
		n, err := l.r.Read(l.ahead[len(l.ahead):cap(l.ahead)])
		l.ahead, l.err = l.ahead[:len(l.ahead)+n], err
	}
	if skip := offset - l.start; skip < int64(len(l.ahead)) {
		n = copy(p, l.ahead[skip:])
	}
	return n, l.err
}
