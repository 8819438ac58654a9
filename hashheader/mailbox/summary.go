package mailbox

import (
	"bytes"
	"io"
)

// A Summary is what was read of one source.
type Summary struct {
	Source   string
	Format   Format // Single, Mbox, or MboxCL where Content-Length counted
	Messages int
	// FromText counts the lines that begin with "From " and were taken for text.
	// FromTextAt has the offsets of the first ones.
	FromText   int
	FromTextAt []int64
	Suspects   []Suspect
}

// maxTextAt is the maximum number of offsets that a Summary keeps.
const maxTextAt = 1000

func (s *Summary) textLine(offset int64) {
	s.FromText++
	if len(s.FromTextAt) < maxTextAt {
		s.FromTextAt = append(s.FromTextAt, offset)
	}
}

// A Suspect is a large message with many lines that look like the start of another
// message. It may be several messages.
type Suspect struct {
	Index  int
	Offset int64
	Size   int64
	Heads  int
}

const (
	suspectSize  = 1 << 20
	suspectHeads = 24
)

// ended passes the summary of a source to the caller.
func (s *scanner) ended(sum Summary) {
	if s.Ended != nil {
		s.Ended(sum)
	}
}

// A headCounter counts the written lines that begin with "From".
type headCounter struct {
	size  int64
	heads int
	tail  []byte
}

var lineFrom = []byte("\nFrom")

func (c *headCounter) Write(p []byte) (int, error) {
	seam := append(c.tail, p[:min(len(p), len(lineFrom)-1)]...)
	c.heads += bytes.Count(seam, lineFrom) + bytes.Count(p, lineFrom)
	c.size += int64(len(p))
	c.tail = append(c.tail[:0], p[max(0, len(p)-len(lineFrom)+1):]...)
	return len(p), nil
}

// body reads the body of a message that is a file of its own, and adds the message
// to the suspects if it looks like several.
func (s *scanner) body(sum *Summary, r io.Reader) error {
	var c headCounter
	_, err := io.Copy(&c, r)
	if c.size >= suspectSize && c.heads >= suspectHeads {
		sum.Suspects = append(sum.Suspects, Suspect{1, 0, c.size, c.heads})
	}
	return err
}
