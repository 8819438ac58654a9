package lmtp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"strings"
	"unicode"

	"permalink-milter/hashheader"
)

const (
	maxHeader = 1 << 20   // bytes of a header section
	inMemory  = 128 << 10 // bytes of a message that no file is made for
)

var (
	errLongHeader = fmt.Errorf("header section of more than %d bytes", maxHeader)
	errNoID       = errors.New("no Message-ID, and neither From nor Date to derive one from")
)

// A spool holds a message: the beginning in memory, the rest in a file that
// has no name, so that nothing is left of it when the process ends.
type spool struct {
	head []byte
	file *os.File // nil for a short message
	rest int64    // bytes in the file
}

// receive reads a message to its end. The file is made in dir.
func receive(r io.Reader, dir string) (*spool, error) {
	var head bytes.Buffer
	_, err := io.CopyN(&head, r, inMemory)
	s := &spool{head: head.Bytes()}
	if errors.Is(err, io.EOF) {
		return s, nil
	}
	if err == nil {
		err = s.fill(r, dir)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *spool) fill(r io.Reader, dir string) (err error) {
	if s.file, err = os.CreateTemp(dir, "lmtp-"); err != nil {
		return err
	}
	if err = os.Remove(s.file.Name()); err != nil {
		return err
	}
	s.rest, err = io.Copy(s.file, r)
	return err
}

// close gives the file's space back.
func (s *spool) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// reader returns the message from its beginning.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.head)
	}
	return io.MultiReader(bytes.NewReader(s.head), io.NewSectionReader(s.file, 0, s.rest))
}

func (s *spool) size() int64 { return int64(len(s.head)) + s.rest }

// A message is a received one and what the registry needs to know of it.
type message struct {
	*spool
	from      string // reverse-path
	helo      string // what the client calls itself
	header    hashheader.Header
	canonical []byte // the Message-ID, or the one that every host derives
	identity  hashheader.Identity
	settle    []func() // to do once the replies are written
}

func readMessage(s *spool, fields []string) (*message, error) {
	header, err := readHeader(s.reader())
	if err != nil {
		return nil, err
	}
	m := &message{spool: s, header: header, canonical: header.CanonicalID()}
	if len(m.canonical) == 0 {
		var ok bool
		if m.canonical, ok = hashheader.DeriveID(header); !ok {
			return nil, errNoID
		}
	}
	m.identity = hashheader.Identify(header, m.canonical, fields)
	return m, nil
}

// readHeader reads a header section. Lines end in LF or CRLF. A line that is
// neither a field nor a fold, such as an mbox's From_ line, is skipped.
func readHeader(r io.Reader) (hashheader.Header, error) {
	section := &io.LimitedReader{R: r, N: maxHeader + 1}
	lines := bufio.NewReader(section)
	var header hashheader.Header
	var open []byte // the last field's value: a string that grows fold by fold is copied each time
	closeField := func() {
		if len(header) > 0 {
			header[len(header)-1].Value = string(open)
		}
	}
	defer closeField()
	for {
		line, err := lines.ReadString('\n')
		if section.N == 0 {
			return nil, errLongHeader
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		name, value, isField := strings.Cut(line, ":")
		switch {
		case strings.TrimRight(line, "\r\n") == "":
			return header, nil
		case (line[0] == ' ' || line[0] == '\t') && len(header) > 0:
			open = append(open, line...)
		case isField && !strings.ContainsAny(strings.TrimRight(name, " \t"), " \t"):
			closeField()
			header, open = append(header, hashheader.Field{Name: name}), append(open[:0], value...)
		}
		if err != nil {
			return header, nil
		}
	}
}

// subject returns the subject for people, decoded where its charset is known,
// on one line and without control characters.
func (m *message) subject() string {
	text, _ := m.header.First("Subject")
	if decoded, err := new(mime.WordDecoder).DecodeHeader(strings.Join(strings.Fields(text), " ")); err == nil {
		text = decoded
	}
	visible := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)
	return strings.Join(strings.Fields(visible), " ")
}

// skipFrom drops the From_ line of an mbox from the beginning of a message.
func skipFrom(r io.Reader) io.Reader {
	b := bufio.NewReader(r)
	start, _ := b.Peek(len("From "))
	if string(start) != "From " {
		return b
	}
	for {
		// What is wrong with the reader shows again at the next read.
		if _, err := b.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return b
		}
	}
}
