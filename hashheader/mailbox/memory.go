package mailbox

import (
	"io"
	"os"
)

// A Memory knows what was read before, so that only what is new is read. One
// goroutine calls it.
type Memory interface {
	// Delivered reports whether a message of a Maildir was read before.
	Delivered(name string) bool
	// Resume returns where to go on in a regular file, which it leaves at its
	// start.
	Resume(name string, f *os.File) Point
}

// A Point is where reading goes on. The zero Point is the start of a file.
type Point struct {
	Done          bool  // nothing is new
	Offset        int64 // where a message of an mbox begins
	Index         int   // of that message
	ContentLength bool  // Content-Length counts in the mbox
}

// resume reads what is new in a file. It reports false where that is all of it.
func (s *scanner) resume(name string, f *os.File) bool {
	if s.Memory == nil {
		return false
	}
	p := s.Memory.Resume(name, f)
	if !p.Done && p.Offset == 0 {
		return false
	}
	if s.Progress != nil {
		s.Progress(int(p.Offset))
	}
	if p.Done {
		return true
	}
	length := lengthsIgnored
	if p.ContentLength {
		length = lengthsTrusted
	}
	r := &counter{r: f, n: p.Offset, progress: s.Progress}
	_, err := f.Seek(p.Offset, io.SeekStart)
	if err == nil {
		err = s.mbox(name, r, f, length, p)
	}
	if err != nil {
		s.fail(name, r.n, Reason(err))
	}
	return true
}
