package edit

import (
	"bytes"
	"context"
	"io"
	"os"

	"permalink-milter/hashheader/mailbox"
)

// A Mbox is a mailbox that Copy writes anew.
type Mbox struct {
	Format mailbox.Format
	// Edit reads the start of a message, and returns what to write in its
	// place. It leaves r behind what it read.
	Edit func(r io.Reader) (before, after []byte, err error)
	// Failed is called with each message that cannot be edited and is written as
	// it is. Its error ends the copy.
	Failed func(m mailbox.Message, err error) error

	at    io.ReaderAt
	size  int64
	spool *os.File
}

// Open takes the mailbox from in if that is a regular file, else from rest, which
// holds all of it. Messages are read twice, so a temporary file without a name
// keeps the bytes of a pipe.
func (b *Mbox) Open(in, rest io.Reader) (err error) {
	if f, ok := in.(*os.File); ok && f != os.Stdin { // standard input may begin in mid-file
		if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
			b.at, b.size = f, info.Size()
			return nil
		}
	}
	if b.spool, err = os.CreateTemp("", "permalink-stamp-*"); err != nil {
		return err
	}
	os.Remove(b.spool.Name())
	b.at = b.spool
	b.size, err = io.Copy(b.spool, rest)
	return err
}

// Close drops the temporary file.
func (b *Mbox) Close() {
	if b.spool != nil {
		b.spool.Close()
	}
}

// Copy writes the mailbox with each message edited. All other bytes, the
// quoting of From_ lines among them, are kept.
func (b *Mbox) Copy(ctx context.Context, out io.Writer) error {
	var last mailbox.Message // ends where the next one begins
	source := mailbox.Options{Format: b.Format, Stdin: io.NewSectionReader(b.at, 0, b.size), Wants: func([]byte) bool { return false }}
	for m := range mailbox.Map(ctx, []string{"-"}, source, func(m *mailbox.Message) mailbox.Message { return *m }) {
		if m.Index == 0 {
			if err := b.Failed(m, m.Err); err != nil {
				return err
			}
			continue
		}
		if err := b.message(last, m.Start, out); err != nil {
			return err
		}
		last = m
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return b.message(last, b.size, out)
}

// message writes a message that ends at an offset. Index 0 means what stands
// before the first message.
func (b *Mbox) message(m mailbox.Message, end int64, out io.Writer) error {
	in := io.NewSectionReader(b.at, m.Start, end-m.Start)
	if m.Index == 0 {
		_, err := io.Copy(out, in)
		return err
	}
	_, after, err := b.Edit(in)
	if err != nil {
		if err := b.Failed(m, err); err != nil {
			return err
		}
		in.Seek(0, io.SeekStart)
	}
	_, err = io.Copy(out, io.MultiReader(bytes.NewReader(after), in))
	return err
}
