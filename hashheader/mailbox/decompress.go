package mailbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

var (
	gzipMagic = []byte{0x1f, 0x8b}             // RFC 1952, section 2.3.1
	zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd} // RFC 8878, section 3.1.1
)

// maxWindow is the maximum window size of a zstd file, and so bounds the memory
// that reading it takes. It is zstd's own without --long.
const maxWindow = 8 << 20

// decompress returns a reader of the content of r, which need not be compressed.
// That reader returns an error where compressed data is damaged.
func decompress(r io.Reader) (content io.ReadCloser, compressed bool, err error) {
	head, r, err := peek(r)
	switch {
	case err != nil:
		return nil, false, err
	case bytes.HasPrefix(head, gzipMagic):
		z, err := newMembers(r)
		if err != nil {
			return nil, true, compressionError{"gzip", err}
		}
		return io.NopCloser(named{"gzip", z}), true, nil
	case bytes.HasPrefix(head, zstdMagic):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, true, compressionError{"zstd", err}
		}
		return struct {
			io.Reader
			io.Closer
		}{named{"zstd", z}, z.IOReadCloser()}, true, nil
	}
	return io.NopCloser(r), false, nil
}

// members reads the members of gzip data one after the other. Zeros after the last
// one are padding, as on a tape. Other bytes there are an error.
type members struct {
	r *bufio.Reader
	z *gzip.Reader
}

var errTrailing = errors.New("other bytes follow the compressed data")

func newMembers(r io.Reader) (*members, error) {
	m := &members{r: bufio.NewReaderSize(r, 64<<10)}
	var err error
	if m.z, err = gzip.NewReader(m.r); err != nil {
		return nil, err
	}
	m.z.Multistream(false)
	return m, nil
}

func (m *members) Read(p []byte) (int, error) {
	n, err := m.z.Read(p)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	return n, m.next()
}

// next begins the next member. It returns io.EOF after the last one.
func (m *members) next() error {
	if head, _ := m.r.Peek(len(gzipMagic)); !bytes.Equal(head, gzipMagic) {
		return m.padding()
	}
	err := m.z.Reset(m.r)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	m.z.Multistream(false)
	return err
}

func (m *members) padding() error {
	for {
		c, err := m.r.ReadByte()
		if err != nil {
			return err
		}
		if c != 0 {
			return errTrailing
		}
	}
}

// A named reader adds the name of the compression to errors.
type named struct {
	name string
	io.Reader
}

func (n named) Read(p []byte) (int, error) {
	read, err := n.Reader.Read(p)
	if err != nil && err != io.EOF {
		err = compressionError{n.name, err}
	}
	return read, err
}

type compressionError struct {
	name string
	err  error
}

func (e compressionError) Error() string {
	switch {
	case errors.Is(e.err, io.ErrUnexpectedEOF):
		return e.name + " data ends early: the file is truncated"
	case errors.Is(e.err, errTrailing):
		return e.name + " data is whole, but other bytes follow it: they are not read"
	}
	return fmt.Sprintf("bad %s data: %v", e.name, e.err)
}

func (e compressionError) Unwrap() error { return e.err }

// peekSize is the number of bytes that show the format of nearly all files: they
// hold the From_ line and the first field's name.
const peekSize = 4 << 10

// peek returns the first bytes of r, and a reader of all its bytes. An error after
// the first bytes is returned by that reader.
func peek(r io.Reader) ([]byte, io.Reader, error) {
	head := make([]byte, peekSize)
	n, err := io.ReadFull(r, head)
	if n > 0 || errors.Is(err, io.EOF) {
		err = nil
	}
	head = head[:n]
	return head, io.MultiReader(bytes.NewReader(head), r), err
}

// A counter counts the bytes that are read from r.
type counter struct {
	r        io.Reader
	n        int64
	progress func(n int)
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.progress != nil {
		c.progress(n)
	}
	return n, err
}
