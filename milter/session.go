// Package milter stamps the messages of an MTA: it collects what a decision
// needs from a milter session, decides, and answers with header edits.
//
// [Decide] is pure. The session never rejects a message, never reads a body,
// and changes nothing but the header fields that are ours.
package milter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// The protocol versions that we speak: Sendmail 8.12 to date.
const minVersion, maxVersion = 2, 6

// codeUnknown is SMFIC_UNKNOWN, which go-milter has no name for.
const codeUnknown gomilter.Code = 'U'

// What a session asks of the MTA; it gets what the MTA offers of it.
const (
	neededActions  = gomilter.OptAddHeader | gomilter.OptChangeHeader
	wantedActions  = neededActions | gomilter.OptSetSymList
	wantedProtocol = gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoData | gomilter.OptNoEOH |
		gomilter.OptNoBody | gomilter.OptNoUnknown | gomilter.OptNoMailReply | gomilter.OptNoRcptReply | gomilter.OptNoHeaderReply
)

// wantedMacros are those that the MTA is asked for: the queue id, and the
// Message-ID that Sendmail adds after the filter.
var wantedMacros = []struct {
	stage gomilter.Stage
	names string
}{{gomilter.StageMailFrom, "i"}, {gomilter.StageRcptTo, "i"}, {gomilter.StageEOM, "i {msg_id}"}}

// A session is one MTA's connection: any number of messages, one by one.
type session struct {
	server   *Server
	conn     *conn
	actions  gomilter.OptAction
	protocol gomilter.OptProtocol

	policy  *Policy
	message Message
	macros  macros // of the last macro packet, until its command comes
	queueID string
	mtaID   string
	fields  int
	bytes   int
}

// errQuit ends a session that the MTA ends.
var errQuit = errors.New("quit")

// run serves the connection until it ends.
func (s *session) run() error {
	for {
		code, data, err := s.conn.next()
		if err == nil {
			err = s.command(code, data)
		}
		if err != nil {
			return err
		}
	}
}

// negotiate reads the MTA's offer and answers it.
func (s *session) negotiate() error {
	code, data, err := s.conn.next()
	if err != nil {
		return fmt.Errorf("not a milter client: %w", err)
	}
	if code != gomilter.CodeOptNeg || len(data) != 12 {
		return fmt.Errorf("not a milter client: it began with %q", byte(code))
	}
	version := binary.BigEndian.Uint32(data)
	if version < minVersion {
		return fmt.Errorf("milter protocol version %d: %d or later is needed", version, minVersion)
	}
	s.actions = gomilter.OptAction(binary.BigEndian.Uint32(data[4:])) & wantedActions
	s.protocol = gomilter.OptProtocol(binary.BigEndian.Uint32(data[8:])) & wantedProtocol
	var answer []byte
	for _, v := range []uint32{min(version, maxVersion), uint32(s.actions), uint32(s.protocol)} {
		answer = binary.BigEndian.AppendUint32(answer, v)
	}
	if s.actions&gomilter.OptSetSymList != 0 {
		for _, m := range wantedMacros {
			answer = binary.BigEndian.AppendUint32(answer, uint32(m.stage))
			answer = append(append(answer, m.names...), 0)
		}
	}
	s.conn.reply(byte(gomilter.CodeOptNeg), string(answer))
	return nil
}

// command handles one packet. Its error ends the session.
func (s *session) command(code gomilter.Code, data []byte) error {
	if code == gomilter.CodeMail {
		s.begin()
		s.conn.busy.Store(true)
	}
	s.notice(code)
	switch code {
	case gomilter.CodeMacro:
		return s.macro(data)
	case gomilter.CodeMail:
		s.goOn(gomilter.OptNoMailReply)
	case gomilter.CodeRcpt:
		s.rcpt(data)
		s.goOn(gomilter.OptNoRcptReply)
	case gomilter.CodeHeader:
		s.header(data)
		s.goOn(gomilter.OptNoHeaderReply)
	case gomilter.CodeEOB:
		s.end()
	case gomilter.CodeAbort, gomilter.CodeQuitNewConn: // neither has a reply
		s.begin()
		s.macros = macros{}
		s.conn.busy.Store(false)
	case gomilter.CodeConn, gomilter.CodeHelo, gomilter.CodeData, gomilter.CodeEOH, gomilter.CodeBody, codeUnknown:
		s.goOn(0)
	case gomilter.CodeOptNeg:
		return errors.New("the MTA negotiated twice")
	case gomilter.CodeQuit:
		return errQuit
	default:
		return fmt.Errorf("unknown milter command %q", byte(code))
	}
	return nil
}

// goOn replies "continue", unless the MTA wants no reply to this command.
func (s *session) goOn(silent gomilter.OptProtocol) {
	if s.protocol&silent == 0 {
		s.conn.reply(byte(gomilter.ActContinue))
	}
}

// begin forgets the last message. Sendmail tells of its end by nothing but
// the next one's beginning.
func (s *session) begin() {
	clear(s.message.Header)
	s.message = Message{Header: s.message.Header[:0], Recipients: s.message.Recipients[:0]}
	s.policy = s.server.policy.Load()
	s.queueID, s.mtaID, s.fields, s.bytes = "", "", 0, 0
}

func (s *session) rcpt(data []byte) {
	to, _, _ := bytes.Cut(data, []byte{0})
	if to = bytes.Trim(to, "<>"); s.keep(len(to)) {
		s.message.Recipients = append(s.message.Recipients, string(to))
	}
}

// header keeps a field that a decision looks at, and counts the others.
func (s *session) header(data []byte) {
	name, value, _ := bytes.Cut(bytes.TrimRight(data, "\x00"), []byte{0})
	if bytes.IndexByte(value, 0) >= 0 {
		s.fields++
		return // not a field
	}
	if s.fields++; s.policy.wants(string(name)) && s.keep(len(name)+len(value)) {
		s.message.Header = append(s.message.Header, hashheader.Field{Name: string(name), Value: string(value)})
	}
}

// keep counts what the session holds of a message and tells if that is within
// its bound.
func (s *session) keep(n int) bool {
	s.bytes += n
	return !s.over()
}

// over tells if the message has more than a session may hold.
func (s *session) over() bool {
	return s.bytes > s.server.o.MaxHeaderBytes || s.fields > s.server.o.MaxHeaderFields
}

// end decides about a message that is complete, and answers.
func (s *session) end() {
	if !s.conn.busy.Load() {
		s.goOn(0) // no MAIL came before
		return
	}
	defer s.conn.busy.Store(false)
	s.message.MTAMessageID = s.mtaID
	start := time.Now()
	if reason := s.unable(); reason != "" {
		s.server.o.Observe.Refused(reason)
		s.conn.log.Warn("message passed unmarked", "qid", s.queueID, "reason", reason)
		s.goOn(0)
		return
	}
	d := Decide(&s.message, s.policy, s.reserver())
	for _, e := range d.Edits {
		e.send(s.conn)
	}
	s.report(d, time.Since(start))
	if d.TempFail {
		s.conn.reply(byte(gomilter.ActReplyCode), "451 4.7.1 Permalink registry does not answer, try again later\x00")
		return
	}
	s.goOn(0)
}

// unable tells why this message cannot be stamped, if so.
func (s *session) unable() string {
	switch {
	case s.over():
		return "header_limit"
	case s.actions&neededActions != neededActions:
		return "mta_allows_no_header_changes"
	}
	return ""
}

// send writes SMFIR_ADDHEADER or SMFIR_CHGHEADER (libmilter's mfdef.h), whose
// empty value deletes the field.
func (e Edit) send(c *conn) {
	if e.Op == Add {
		c.reply(byte(gomilter.ActAddHeader), e.Name, "\x00", e.Value, "\x00")
		return
	}
	index := binary.BigEndian.AppendUint32(nil, uint32(e.Index))
	c.reply(byte(gomilter.ActChangeHeader), string(index), e.Name, "\x00", e.Value, "\x00")
}

// macros are what an MTA tells beside the next command of the given code, as
// far as it matters here.
type macros struct {
	command   gomilter.Code
	queueID   string // i
	messageID string // {msg_id}
}

// macro reads names and values that each end with a NUL, behind the code of
// their command. Those of commands at which notice does nothing are passed
// over: Postfix sends some before each header field.
func (s *session) macro(data []byte) error {
	if len(data) == 0 {
		return errors.New("macro packet without a command")
	}
	s.macros = macros{command: gomilter.Code(data[0])}
	if bytes.IndexByte([]byte("MRE"), data[0]) < 0 {
		return nil
	}
	for rest := data[1:]; len(rest) > 0; {
		var name, value []byte
		name, rest, _ = bytes.Cut(rest, []byte{0})
		value, rest, _ = bytes.Cut(rest, []byte{0})
		switch string(name) {
		case "i":
			s.macros.queueID = string(value)
		case "{msg_id}":
			s.macros.messageID = string(value)
		}
	}
	return nil
}

// notice keeps the macros that came for this command: MTAs tell the queue id
// at different stages.
func (s *session) notice(code gomilter.Code) {
	if s.macros.command != code {
		return
	}
	s.queueID = cmp.Or(s.macros.queueID, s.queueID)
	s.mtaID = cmp.Or(s.macros.messageID, s.mtaID)
	s.macros = macros{}
}

// reserver binds the registry to this message's budget, which all its calls
// share. A bound for one call is the registry's own matter.
func (s *session) reserver() Reserve {
	o := &s.server.o
	deadline := time.Now().Add(o.MessageBudget)
	return func(r registry.Request) (registry.Result, error) {
		start := time.Now()
		ctx, cancel := context.WithDeadline(context.Background(), deadline)
		defer cancel()
		result, err := o.Reserve(ctx, r)
		outcome := result.Outcome.String()
		if err != nil {
			outcome = "error"
		}
		o.Observe.Reservation(outcome, time.Since(start))
		return result, err
	}
}
