package report

import (
	"fmt"
	"io"
	"strings"
	"sync"

	"permalink-milter/hashheader/mailbox"
)

// Sources sums up what was read. The zero Sources is ready to use.
type Sources struct {
	mu       sync.Mutex // one goroutine reads, another one prints
	formats  map[mailbox.Format]int
	fromText int
	all      []mailbox.Summary // those with something to say
}

// Ended adds a source.
func (s *Sources) Ended(sum mailbox.Summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.formats == nil {
		s.formats = make(map[mailbox.Format]int)
	}
	s.formats[sum.Format]++
	s.fromText += sum.FromText
	if sum.FromText > 0 || len(sum.Suspects) > 0 {
		s.all = append(s.all, sum)
	}
}

// Print writes a line on the mailboxes that were read, unless there were none.
// Verbose adds a line for each From_-like line that was taken for text.
func (s *Sources) Print(out io.Writer, verbose bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sum := range s.all {
		if !verbose {
			break
		}
		for _, at := range sum.FromTextAt {
			fmt.Fprintf(out, "%s:%d: a From_-like line was taken for text\n", Name(sum.Source), at)
		}
		if left := sum.FromText - len(sum.FromTextAt); left > 0 {
			fmt.Fprintf(out, "%s: %s more were taken for text\n", Name(sum.Source), Plural(left, "From_-like line"))
		}
	}
	if s.formats[mailbox.Mbox]+s.formats[mailbox.MboxCL] > 0 {
		fmt.Fprintln(out, s.line())
	}
}

// line returns the kinds of mailboxes, and how many lines were taken for text.
func (s *Sources) line() string {
	var parts []string
	for _, kind := range []struct {
		format mailbox.Format
		one    string
		many   string
	}{
		{mailbox.Mbox, "mbox", "mboxes"},
		{mailbox.MboxCL, "mbox by Content-Length", "mboxes by Content-Length"},
		{mailbox.Single, "file of one message", "files of one message"},
	} {
		switch n := s.formats[kind.format]; n {
		case 0:
		case 1:
			parts = append(parts, "1 "+kind.one)
		default:
			parts = append(parts, fmt.Sprintf("%d %s", n, kind.many))
		}
	}
	return strings.Join(parts, ", ") + "; " + Plural(s.fromText, "From_-like line") + " taken for text"
}

// Warn writes a warning for each message that looks like several.
func (s *Sources) Warn(out io.Writer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sum := range s.all {
		for _, m := range sum.Suspects {
			fmt.Fprintf(out, "warning: %s:%d: message %d has %d bytes and %d lines like the start of a message: if it is several, they were not found\n",
				Name(sum.Source), m.Offset, m.Index, m.Size, m.Heads)
		}
	}
}
