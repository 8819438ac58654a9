package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// What the client offers in its negotiation, as Postfix and Sendmail do.
const (
	offerVersion  = 6
	offerActions  = 0x1ff
	offerProtocol = 0x1fffff
)

// A step is one command of a session: its code, the bit by which a filter
// says that it does not want it, and the bit for no reply (libmilter's
// mfdef.h).
type step struct {
	code            byte
	unwanted, quiet uint32
	data            []byte
}

// steps are the commands for one message with this many header fields. The
// fields are those of list mail: a Message-ID, one forged hash, the rest
// other ones.
func steps(fields int, id string) []step {
	out := []step{
		{'D', 0, ^uint32(0), []byte("Mi\x004XyZabc123\x00")},
		{'M', 0x04, 0x4000, []byte("<devel-bounces@lists.example.org>\x00")},
		{'R', 0x08, 0x8000, []byte("<bob@example.net>\x00")},
		{'T', 0x200, 0x10000, nil},
	}
	for _, f := range header(fields, id) {
		out = append(out, step{'D', 0, ^uint32(0), []byte("Li\x004XyZabc123\x00")}, step{'L', 0x20, 0x80, []byte(f[0] + "\x00" + f[1] + "\x00")})
	}
	return append(out,
		step{'N', 0x40, 0x40000, nil},
		step{'B', 0x10, 0x80000, bytes.Repeat([]byte("Hello, list. This is a line of text.\r\n"), 50)},
		step{'D', 0, ^uint32(0), []byte("Ei\x004XyZabc123\x00")},
		step{'E', 0, 0, nil})
}

func header(fields int, id string) (out [][2]string) {
	all := [][2]string{{"Message-ID", "<" + id + ">"}, {"Message-ID-MD5", "AAAAAAAAAAAAAAAAAAAAAAAAAA"},
		{"From", "Alice <alice@example.org>"}, {"To", "devel@lists.example.org"}, {"Subject", "Re: a subject of usual length"},
		{"Date", "Tue, 24 Nov 2026 11:00:00 +0000"}}
	for i := range fields {
		if i < len(all) {
			out = append(out, all[i])
			continue
		}
		out = append(out, [2]string{fmt.Sprintf("X-Field-%d", i), strings.Repeat("value ", 10)})
	}
	return out
}

// A session is a connection to a filter.
type session struct {
	conn     net.Conn
	r        *bufio.Reader
	w        *bufio.Writer
	protocol uint32 // what the filter asked for
}

// open connects to a filter and negotiates.
func open(socket string) (*session, error) {
	conn, err := net.DialTimeout("unix", socket, 10*time.Second)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriter(conn)}
	offer := binary.BigEndian.AppendUint32(nil, offerVersion)
	offer = binary.BigEndian.AppendUint32(offer, offerActions)
	offer = binary.BigEndian.AppendUint32(offer, offerProtocol)
	s.write('O', offer)
	code, data, err := s.read()
	if err != nil || code != 'O' || len(data) < 12 {
		conn.Close()
		return nil, fmt.Errorf("negotiation: reply %q, %w", code, err)
	}
	s.protocol = binary.BigEndian.Uint32(data[8:])
	return s, nil
}

func (s *session) close() {
	s.write('Q', nil)
	s.w.Flush()
	s.conn.Close()
}

func (s *session) write(code byte, data []byte) {
	var head [5]byte
	binary.BigEndian.PutUint32(head[:], uint32(1+len(data)))
	head[4] = code
	s.w.Write(head[:])
	s.w.Write(data)
}

// read flushes what was written and returns the next packet.
func (s *session) read() (code byte, data []byte, err error) {
	if err := s.w.Flush(); err != nil {
		return 0, nil, err
	}
	s.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
	var head [5]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return 0, nil, err
	}
	data = make([]byte, binary.BigEndian.Uint32(head[:])-1)
	_, err = io.ReadFull(s.r, data)
	return head[4], data, err
}

// message plays one message and returns how many edits it got and how long
// the filter took at the end of the message.
func (s *session) message(steps []step) (edits int, eom time.Duration, err error) {
	var start time.Time
	for _, st := range steps {
		if s.protocol&st.unwanted != 0 {
			continue
		}
		start = time.Now()
		s.write(st.code, st.data)
		if s.protocol&st.quiet != 0 || st.code == 'D' {
			continue
		}
		n, err := s.replies(st.code)
		if err != nil {
			return 0, 0, fmt.Errorf("command %q: %w", st.code, err)
		}
		edits += n
	}
	return edits, time.Since(start), nil
}

// replies reads up to the reply that ends a command.
func (s *session) replies(command byte) (edits int, err error) {
	for {
		code, data, err := s.read()
		switch {
		case err != nil:
			return 0, err
		case code == 'c' || code == 'a' || code == 's':
			return edits, nil
		case command == 'E' && strings.IndexByte("hmi", code) >= 0:
			edits++
		case code != 'p':
			return 0, fmt.Errorf("reply %q %q", code, data)
		}
	}
}
