package mailbox

import (
	"bytes"
	"strconv"
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
	size := headerEnd(data[s.pos:])
	if size < 0 {
		return // the message will be seen again, with more of it
	}
	n, ok := contentLength(data[s.pos : s.pos+size])
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

// contentLength returns the value of the first Content-Length in a header
// section.
func contentLength(section []byte) (n int64, ok bool) {
	wants := func(name []byte) bool { return bytes.EqualFold(name, []byte("Content-Length")) }
	h, _, _ := parseHeader(section, wants)
	if len(h) == 0 {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace([]byte(h[0].Value))), 10, 48)
	return n, err == nil && n >= 0
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
