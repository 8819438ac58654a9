// Package mailbox reads the header sections of messages out of files and
// folders: single messages, mboxes, Maildirs, trees of messages, and all of
// these compressed. It finds out what a file is by its content.
//
// Bodies are passed over, never kept, so that memory is bounded whatever the
// size of a mailbox. What cannot be read is told of as a message with an
// error, and the rest goes on.
package mailbox

import (
	"context"
	"errors"
	"io"
	"iter"
	"runtime"

	"permalink-milter/cmd/permalink/inorder"
	"permalink-milter/hashheader"
)

// MaxHeader bounds the header section of a message, in bytes.
const MaxHeader = 8 << 20

// Errors of messages and of sources.
var (
	ErrNotMail      = errors.New("neither a message nor an mbox")
	ErrEmpty        = errors.New("empty: no message")
	ErrNoFrom       = errors.New("no From_ line at the start of the mbox; skipped up to the first")
	ErrHeaderTooBig = errors.New("header section of more than 8 MiB")
	ErrCut          = errors.New("ends in the middle of a header line: cut off?")
	ErrNUL          = errors.New("NUL in the header section")
	ErrLength       = errors.New("its Content-Length leads to no From_ line; messages behind it may be lost")
)

// A Message is what was read of one message, or what could not be.
type Message struct {
	Source string // the file's name, - for standard input
	Index  int    // from 1 within the source; 0 for an error of the source itself
	// Offset is where the message (in an mbox its From_ line) begins, in bytes
	// from the start of the source, decompressed. For ErrNUL it is the NUL's.
	Offset int64
	Header hashheader.Header // the fields that Options.Wants, top down
	Err    error             // the header may hold what came before the trouble
}

// Options of Map. The zero Options are usable.
type Options struct {
	Format Format
	Stdin  io.Reader // what the input - is
	// Wants tells which fields to keep; nil keeps all. It is called by several
	// goroutines.
	Wants func(name []byte) bool
	// Progress is told of bytes read from files, before decompression; one
	// goroutine calls it.
	Progress func(n int)
}

// Map yields f of each message in the inputs (files, folders, - for standard
// input), in order. F is called by several goroutines; the message is its
// own.
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

// A span is where a message lies in a batch's buffer. The bytes begin with
// its header section, or the From_ line before it, and may reach into its
// body.
type span struct {
	Message
	from, to int
	last     bool // to is the end of the source
}

func (s span) read(buf []byte, wants func(name []byte) bool) *Message {
	m := s.Message
	data := buf[s.from:s.to]
	h, size, whole := parseHeader(data, wants)
	m.Header = h
	switch nul := indexNUL(data[:size]); {
	case m.Err != nil:
	case size > MaxHeader:
		m.Err, m.Header = ErrHeaderTooBig, nil
	case nul >= 0:
		m.Err, m.Offset = ErrNUL, m.Offset+int64(nul)
	case !whole && s.last && size > 0 && data[size-1] != '\n':
		m.Err = ErrCut
	}
	return &m
}

// blockSize is how much of a file is read at a time: it fits a core's cache,
// where it is scanned and parsed.
const blockSize = 256 << 10

// A batch is a piece of work: messages and the buffer that they lie in.
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

// recycle keeps a batch for later use, unless a giant header grew it.
func (b *batch) recycle(free chan *batch) {
	if cap(b.buf) > 2*blockSize {
		return
	}
	select {
	case free <- b:
	default:
	}
}
