package mailbox

import (
	"bytes"
	"io"
	"slices"
	"strconv"
	"strings"

	"permalink-milter/hashheader"
)

// lengths says whether Content-Length tells where a message ends (mboxcl,
// mboxcl2), whose body is then free to hold From_ lines.
type lengths int

const (
	lengthsUnknown lengths = iota // the first message decides
	lengthsIgnored
	lengthsTrusted
)

// maxBody bounds the body that a Content-Length may skip. What it leads to must
// be looked at before it is believed, and a pipe's bytes are kept until then.
const maxBody = 64 << 20

// jump moves from the From_ line at pos to the end of the message's body where
// its Content-Length says where that is. Many programs wrote the field and did
// not keep it true: it counts where the first one led to a From_ line, and
// where this one does. It reports whether it moved.
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

// contentLength returns the size of the header section that data begins with,
// the empty line behind it included, -1 where data does not hold all of it, and
// the value of its first Content-Length.
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

// landsWell reports whether a message may end at a position of the buffer or
// behind it: a From_ line or the end comes next, with or without the empty
// line that belongs to neither.
func (s *splitter) landsWell(to int64, last bool) bool {
	data := s.b.buf
	have := int64(len(data))
	if to > have {
		// One byte more tells the end of the file from what lies behind it.
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

// A lookahead is a reader whose next bytes can be looked at: a pipe, or what
// comes out of a decompressor.
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

// ReadAt reads at an offset that Read did not reach yet.
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
