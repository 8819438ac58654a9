package lmtp

import (
	"bytes"
	"errors"
	"io"
	"os"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// inMemory bounds the bytes of a message that are kept in memory. The rest goes
// to a file.
const inMemory = 128 << 10

// A spool holds a message: the beginning in memory, the rest in a file without a
// name, which does not outlive the process.
type spool struct {
	head []byte
	file *os.File // nil for a short message
	rest int64    // bytes in the file
}

// receive reads a message to its end. NewFile makes the file for a long one.
func receive(r io.Reader, newFile func() (*os.File, error)) (*spool, error) {
	var head bytes.Buffer
	_, err := io.CopyN(&head, r, inMemory)
	s := &spool{head: head.Bytes()}
	if errors.Is(err, io.EOF) {
		return s, nil
	}
	if err == nil {
		err = s.fill(r, newFile)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *spool) fill(r io.Reader, newFile func() (*os.File, error)) (err error) {
	if s.file, err = newFile(); err != nil {
		return err
	}
	s.rest, err = io.Copy(s.file, r)
	return err
}

// unnamedFile makes a file in the system's folder for temporary files. It is gone
// when it is closed.
func unnamedFile() (*os.File, error) {
	file, err := os.CreateTemp("", "lmtp-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
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

// A message is a received message and what the registry needs to know of it.
type message struct {
	*spool
	from      string // reverse-path
	helo      string // the client's name, as LHLO gives it
	header    hashheader.Header
	start     int64  // where the header section begins
	canonical []byte // the Message-ID, or the one that all hosts derive
	identity  hashheader.Identity
	body      registry.Body
	kept      []parcel // to be settled once the replies are written
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
	m.body, err = digestText(m.header, s.after(int64(section.End)))
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
