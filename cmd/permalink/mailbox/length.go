package mailbox

import (
	"bytes"
	"strconv"
	"strings"

	"permalink-milter/hashheader"
)

// lengths says whether Content-Length tells where a message ends (mboxcl,
// mboxcl2), whose body is then free to hold From_ lines.
type lengths int

const (
	lengthsUnknown lengths = iota // the first message will tell
	lengthsIgnored
	lengthsTrusted
)

// jump goes from the From_ line at pos to the end of the message's body where
// its Content-Length tells that. Many programs wrote the field and did not
// keep it true: it counts where the first one led to a From_ line, and, as
// far as that can be looked up, where this one does.
func (s *splitter) jump(last bool) {
	if s.length == lengthsIgnored {
		return
	}
	data := s.b.buf
	size, n, ok := contentLength(data[s.pos:])
	if size < 0 {
		return // the message will be seen again, with more of it
	}
	to := int64(s.pos+size) + n
	landing := no
	if ok {
		landing = s.judgeLanding(to, last)
	}
	if s.length == lengthsUnknown {
		s.length = lengthsIgnored
		if landing == yes {
			s.length = lengthsTrusted
		}
	}
	if s.length == lengthsIgnored || landing == no {
		return
	}
	s.lineStart, s.landed = true, landing == more
	s.pos = int(min(to, int64(len(data))))
	s.skip = to - int64(s.pos)
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

// judgeLanding tells if a message may end at a position of the buffer or
// behind it: a From_ line or the end comes next, with or without the empty
// line that belongs to neither.
func (s *splitter) judgeLanding(to int64, last bool) verdict {
	data := s.b.buf
	if rest := int64(len(data)) - to; rest >= 2+int64(len(fromPrefix)) || last && rest >= 0 {
		return landing(data[to:])
	}
	if last {
		return no
	}
	if s.at == nil {
		return more
	}
	// One byte more tells the end of the file from what lies behind it.
	var room [8]byte
	n, _ := s.at.ReadAt(room[:], s.base+to-1)
	if n == 0 {
		return no
	}
	return landing(room[1:n])
}

func landing(rest []byte) verdict {
	rest = bytes.TrimPrefix(bytes.TrimPrefix(rest, []byte{'\r'}), []byte{'\n'})
	if len(rest) == 0 || bytes.HasPrefix(rest, fromPrefix) {
		return yes
	}
	return no
}
