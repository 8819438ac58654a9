package lmtp

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"unicode"

	"github.com/emersion/go-smtp"
)

// maxRefused bounds the refused recipients of a connection, as a multiple of
// those that a message may have: each costs a call of the registry.
const maxRefused = 10

// maxPath bounds an address, in bytes, since those of archived messages are
// remembered and all are logged. RFC 5321, section 4.5.3.1.3, allows 256.
const maxPath = 1000

// A recipient is one that the server accepted.
type recipient struct {
	text    string // as the client wrote it
	address Address
	domain  *Domain
}

// A session is the state of one connection. The lock is for messages that come
// by BDAT: go-smtp may reset the session while one is being read.
type session struct {
	server *Server
	conn   *conn
	helo   string
	log    *slog.Logger

	mu       sync.Mutex
	open     bool   // a transaction is open
	from     string // its reverse-path
	accepted []recipient
	refused  int
	kept     []parcel // to be settled once the replies are written
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	own := c.Conn().(*conn)
	return &session{server: s, conn: own, helo: c.Hostname(), log: s.o.Log.With("client", own.RemoteAddr().String())}, nil
}

// Reset implements smtp.Session: the transaction is over, and every reply of
// it is written.
func (s *session) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.kept {
		p.Delivery.settle(p)
	}
	s.open, s.from, s.accepted, s.kept = false, "", nil, nil
	s.conn.end()
}

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if strings.ContainsFunc(from, unicode.IsControl) {
		return reply(501, smtp.EnhancedCode{5, 1, 7}, "Control character in the sender's address")
	}
	if len(from) > maxPath {
		return reply(501, smtp.EnhancedCode{5, 1, 7}, "The sender's address is longer than %d bytes", maxPath)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open {
		// go-smtp would keep the recipients of the transaction that is open.
		return reply(503, smtp.EnhancedCode{5, 5, 1}, "A transaction is open; RSET ends it")
	}
	s.open, s.from = true, from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, refusal := s.recipient(to)
	if refusal == nil {
		s.accepted = append(s.accepted, r)
		return nil
	}
	s.log.Info("recipient refused", "rcpt", to[:min(len(to), maxPath)], "code", refusal.Code, "text", refusal.Message)
	s.refused++
	if s.refused > maxRefused*s.server.o.MaxRecipients {
		s.conn.hangUp()
		return tooManyRefused()
	}
	return refusal
}

func (s *session) recipient(to string) (recipient, *smtp.SMTPError) {
	a, err := ParseAddress(to)
	if err != nil {
		return recipient{}, noPermalink(err)
	}
	domain, refusal := s.server.domains.find(a)
	if refusal == nil {
		refusal = s.server.offer(s.from, a, domain)
	}
	return recipient{to, a, domain}, refusal
}

// Data implements smtp.Session. go-smtp calls LMTPData in its place.
func (s *session) Data(io.Reader) error { return errors.ErrUnsupported }

// LMTPData implements smtp.LMTPSession: it receives a message and answers
// each recipient.
func (s *session) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	s.mu.Lock()
	from, accepted := s.from, s.accepted
	s.conn.begin()
	s.mu.Unlock()
	if len(accepted) == 0 {
		return interrupted()
	}
	spool, err := receive(r, func() (*os.File, error) { return spoolFor(accepted) })
	if err != nil {
		s.log.Info("message not received", "error", err)
		return receiveError(err)
	}
	defer spool.close()
	m, err := readMessage(spool, s.server.o.Identity)
	if err != nil {
		return wrongMessage("%v", err)
	}
	m.from, m.helo = from, s.helo
	for _, rcpt := range accepted {
		answer := s.answer(m, rcpt)
		s.log.Info("message answered", "rcpt", rcpt.text, "list", rcpt.domain.List, "identity", m.identity, "code", answer.Code, "text", answer.Message)
		// Reset may follow the last status at once.
		s.mu.Lock()
		s.kept = m.kept
		s.mu.Unlock()
		status.SetStatus(rcpt.text, answer)
	}
	return nil
}

// spoolFor returns a file for a long message: of the first archive that has one,
// so that no archive keeps the message from the others.
func spoolFor(accepted []recipient) (file *os.File, err error) {
	for _, rcpt := range accepted {
		if file, err = rcpt.domain.Delivery.spool(); err == nil {
			break
		}
	}
	return file, err
}

func (s *session) answer(m *message, rcpt recipient) *smtp.SMTPError {
	ctx, cancel := context.WithTimeout(s.server.ctx, s.server.o.Timeout)
	defer cancel()
	return s.server.archive(ctx, m, rcpt.address, rcpt.domain)
}

// receiveError returns the reply to a message that could not be received: it is
// too large, or the disk is full, or the connection ended.
func receiveError(err error) error {
	var known *smtp.SMTPError
	var disk *fs.PathError
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &disk):
		return reply(452, smtp.EnhancedCode{4, 3, 1}, "No room for the message, try again later")
	case errors.Is(err, smtp.ErrTooLongLine):
		return reply(554, smtp.EnhancedCode{5, 6, 0}, "A line is longer than %d bytes", maxLine)
	}
	return interrupted()
}
