// Package mailbox reads the header sections of messages from files and folders:
// single messages, mboxes, Maildirs, trees of messages, and all of these
// compressed. The content of a file shows what it is.
//
// Bodies are not kept, so memory does not grow with a mailbox. What cannot be read
// becomes a message with an error, and the rest is read.
//
// # What separates the messages of an mbox
//
// A From_ line is a line that begins with "From ", unless it is a field ("From
// :"). It begins a message where a header section follows it, directly or behind
// more From_ lines, quoted ones included, and one of these holds:
//
//   - Nothing but empty lines and a byte order mark stand before it in the file.
//   - It has a date: a time and behind it a year of four digits. The line before
//     it need not be empty then, and what follows need only be a field.
//   - An empty line stands before it, and the header section has a field that
//     prose has no use for, such as Message-ID or Received, or two of those that
//     it may quote, such as Subject and Date. So the From_ lines without a date
//     that Google's exports have separate messages; sentences that begin with
//     "From" do not.
//   - It is bare, "From" or "From -" alone, as Mozilla's programs write it, and
//     the header section is as above. The line before it need not be empty.
//
// All other lines are text. Summary counts those of them that begin with "From ".
//
// A Content-Length says where a body ends if the first message's leads to the
// next From_ line or to the end (see Format), for each message whose own does
// so, and for bodies of at most 64 MiB. The same bytes give the same messages,
// whether they come from a file, a pipe, or out of a decompressor.
package mailbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"runtime"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox/inorder"
)

// Errors of messages and of sources.
var (
	ErrNotMail = errors.New("neither a message nor an mbox")
	ErrEmpty   = errors.New("empty: no message")
	ErrNoFrom  = errors.New("no From_ line at the start of the mbox; skipped up to the first")
	ErrCut     = errors.New("ends in the middle of a header line: cut off?")
	ErrUnended = errors.New("no line end behind the last line of the header: if the message is cut off, it may be named wrongly")
	ErrNUL     = errors.New("NUL in the header section")
	ErrFolder  = errors.New("a symbolic link to a folder: not followed; name the folder itself")
	ErrOutside = errors.New("a symbolic link that leads out of the folder: not followed")
)

// A Message is what was read of one message, or what could not be.
type Message struct {
	Source string // the file's name, - for standard input
	Index  int    // from 1 within the source; 0 for an error of the source itself
	// Start is where the message (in an mbox its From_ line) begins, in bytes
	// from the start of the source, decompressed. Offset is the same, or that of
	// what Err is about.
	Start, Offset int64
	Format        Format            // of the source: Single, Mbox or MboxCL
	Header        hashheader.Header // the fields that Options.Wants, top down
	Err           error             // the header may hold what came before the trouble
}

// Whole reports whether the header section was read as a whole. Err may be a
// warning then.
func (m *Message) Whole() bool {
	return m.Err == nil || errors.Is(m.Err, ErrNUL) || errors.Is(m.Err, ErrUnended)
}

// ID returns the canonical Message-ID, "" for a message that has none or whose
// id is too long to name it.
func (m *Message) ID() string {
	id, err := m.Header.MessageID()
	if err != nil {
		return ""
	}
	return string(id)
}

// Options of Map. The zero Options are usable.
type Options struct {
	Format Format
	Stdin  io.Reader // what the input - is
	// Wants selects the fields to keep; nil keeps all. It is called by several
	// goroutines.
	Wants  func(name []byte) bool
	Memory Memory // nil: all is read
	// Progress is called with the number of bytes read, before decompression; one
	// goroutine calls it.
	Progress func(n int)
	// Ended is called with each source that was read; one goroutine calls it, before
	// Map's sequence ends.
	Ended func(Summary)
}

// Map yields f of each message in the inputs (files, folders, - for standard
// input), in order. F is called by several goroutines, and may keep the message.
func Map[R any](ctx context.Context, inputs []string, o Options, f func(*Message) R) iter.Seq[R] {
	free := make(chan *batch, 2*runtime.GOMAXPROCS(0)+2)
	batches := func(yield func(*batch) bool) {
		s := &scanner{Options: o, yield: yield, free: free}
		s.scan(inputs)
	}
	done := func(b *batch) []R {
		results := make([]R, len(b.spans))
		for i, span := range b.spans {
			results[i] = f(span.read(b.buf, o.Wants))
		}
		b.recycle(free)
		return results
	}
	return func(yield func(R) bool) {
		for results := range inorder.Map(ctx, batches, runtime.GOMAXPROCS(0), done) {
			for _, r := range results {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// A span is a message in a batch's buffer: its header section with the From_ lines
// before it, and perhaps a part of its body.
type span struct {
	Message
	from, to int
	last     bool // to is the end of the source
	torn     bool // the source cannot be read on
}

func (s span) read(buf []byte, wants func(name []byte) bool) *Message {
	m := s.Message
	data := buf[s.from:s.to]
	section := hashheader.Section{Wants: wants}
	section.Scan(data, true)
	if m.Err == nil {
		m.Err = section.Err()
	}
	if section.Err() != nil {
		return &m
	}
	m.Header = section.Header(data)
	switch nul := bytes.IndexByte(data[:section.End], 0); {
	case m.Err != nil:
	case nul >= 0:
		m.Err, m.Offset = ErrNUL, m.Offset+int64(nul)
	case s.torn && endsInLine(data, &section):
		m.Err = ErrCut
	case s.last:
		m.Err = Ending(data, &section, s.Format)
	}
	return &m
}

// Ending returns ErrUnended or ErrCut if data, the last message of a source, ends
// within a line of its header section, and else nil. A header section may end with
// the input (see hashheader.Section), so a file that is one message is complete as
// far as anyone can know: ErrUnended is a warning. Every program ends the last line
// of an mbox, so there the message is cut off: ErrCut.
func Ending(data []byte, section *hashheader.Section, format Format) error {
	switch {
	case !endsInLine(data, section):
		return nil
	case format == Single:
		return ErrUnended
	}
	return ErrCut
}

// endsInLine reports whether data ends within a line of its header section.
func endsInLine(data []byte, section *hashheader.Section) bool {
	rest := data[section.End:]
	if len(rest) == 0 {
		return section.End > 0 && data[section.End-1] != '\n'
	}
	return bytes.IndexByte(rest, '\n') < 0 && !bytes.ContainsAny(rest, " \t:")
}

// holdsSection reports whether data, which begins with a message, holds the
// whole of its header section, or more of it than any program reads.
func holdsSection(data []byte) bool {
	var section hashheader.Section
	section.Wants = func([]byte) bool { return false }
	return section.Scan(data, false)
}

// blockSize is the number of bytes that are read at a time. They fit into a core's
// cache.
const blockSize = 512 << 10

// A batch is some messages, and the buffer that holds them. It is the unit of work
// for Map's goroutines.
type batch struct {
	buf   []byte // len is what is used
	spans []span
}

func newBatch(free chan *batch) *batch {
	select {
	case b := <-free:
		b.buf, b.spans = b.buf[:0], b.spans[:0]
		return b
	default:
		return &batch{buf: make([]byte, 0, blockSize)}
	}
}

// recycle makes a batch available to newBatch, unless a giant header section has
// made its buffer large.
func (b *batch) recycle(free chan *batch) {
	if cap(b.buf) > 2*blockSize {
		return
	}
	select {
	case free <- b:
	default:
	}
}
