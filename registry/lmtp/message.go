package lmtp

import (
	"bytes"
	"errors"
	"io"
	"os"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// inMemory is how many bytes of a message are kept in memory; the rest goes to
// a file.
const inMemory = 128 << 10

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
func (s *spool) reader() io.Reader { return s.after(0) }

// after returns the message without its first n bytes.
func (s *spool) after(n int64) io.Reader {
	head := bytes.NewReader(s.head[min(n, int64(len(s.head))):])
	if s.file == nil {
		return head
	}
	skip := max(0, n-int64(len(s.head)))
	return io.MultiReader(head, io.NewSectionReader(s.file, skip, s.rest-skip))
}

func (s *spool) size() int64 { return int64(len(s.head)) + s.rest }

// A message is a received one and what the registry needs to know of it.
type message struct {
	*spool
	from      string // reverse-path
	helo      string // what the client calls itself
	header    hashheader.Header
	start     int64  // where the header section begins
	canonical []byte // the Message-ID, or the one that every host derives
	identity  hashheader.Identity
	body      registry.Body
	settle    []func() // to do once the replies are written
}

func readMessage(s *spool, fields []string) (*message, error) {
	data, section, err := hashheader.ReadSection(s.reader(), nil)
	if err != nil {
		return nil, err
	}
	m := &message{spool: s, header: section.Header(data), start: int64(section.Start)}
	if m.canonical, _, err = m.header.NameID(); err != nil {
		return nil, err
	}
	m.identity = hashheader.Identify(m.header, m.canonical, fields)
	m.body, err = digestBody(s.reader(), section.End)
	return m, err
}

// content returns the message from its header section on. What stands before
// it, such as a From_ line, would end the section of whoever reads the message
// behind a Received field.
func (m *message) content() io.Reader { return m.after(m.start) }

// maxSubject bounds the subject that the registry is told, in bytes.
const maxSubject = 300

// subject returns the subject as people read it.
func (m *message) subject() string {
	text, _ := m.header.First("Subject")
	return hashheader.Display(text, maxSubject)
}
