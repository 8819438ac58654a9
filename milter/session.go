// Package milter speaks the milter protocol to an MTA: it collects the envelope
// and the header fields of each message, has package stamp decide about them,
// and answers with the header edits.
//
// A session never rejects a message, never reads a body, and changes no header
// fields but ours. The codes, options and actions of the protocol are those of
// github.com/emersion/go-milter, whose client drives the server in tests.
//
// # How to use it
//
// Make a [Server] with [NewServer], call [Server.Serve] for each listener, and
// [Server.Shutdown] to let the messages in progress end.
package milter

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// The protocol versions that we speak: Sendmail 8.12 to date.
const minVersion, maxVersion = 2, 6

// codeUnknown is SMFIC_UNKNOWN, which go-milter has no name for.
const codeUnknown gomilter.Code = 'U'

// What a session asks of the MTA. It agrees on the part that the MTA offers.
const (
	wantedActions  = gomilter.OptAddHeader | gomilter.OptChangeHeader | gomilter.OptSetSymList
	wantedProtocol = gomilter.OptNoHelo | gomilter.OptNoData | gomilter.OptNoEOH | gomilter.OptNoBody | gomilter.OptNoUnknown |
		gomilter.OptNoConnReply | gomilter.OptNoMailReply | gomilter.OptNoRcptReply | gomilter.OptNoHeaderReply
)

// wantedMacros are the macros that the MTA is asked for: the queue id, the name
// of a client that logged in, and the Message-ID that Sendmail adds after the
// filter.
var wantedMacros = []struct {
	stage gomilter.Stage
	names string
}{{gomilter.StageMailFrom, "i {auth_authen}"}, {gomilter.StageRcptTo, "i"}, {gomilter.StageEOM, "i {msg_id}"}}

// A session is one MTA's connection: any number of messages, one by one.
type session struct {
	server   *Server
	conn     *conn
	actions  gomilter.OptAction
	protocol gomilter.OptProtocol

	addr netip.Addr // of the client; invalid where the MTA tells none

	policy   *stamp.Policy
	header   hashheader.Header // the fields that the policy wants
	from     string
	to       []string
	macros   macros // of the last macro packet, until its command comes
	queueID  string
	mtaID    string
	auth     bool // the client logged in
	fields   int  // of the header section
	size     int  // of the header section, as hashheader counts it
	envelope int  // bytes in from and to
}

// errQuit is returned for SMFIC_QUIT.
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

// command handles one packet. An error ends the session.
func (s *session) command(code gomilter.Code, data []byte) error {
	if code == gomilter.CodeMail {
		s.begin()
		s.from = string(address(data))
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
		s.addHeader(data)
		s.goOn(gomilter.OptNoHeaderReply)
	case gomilter.CodeEOB:
		s.end()
	case gomilter.CodeAbort, gomilter.CodeQuitNewConn: // neither has a reply
		s.begin()
		s.macros = macros{}
		s.conn.rest()
		if code == gomilter.CodeQuitNewConn {
			s.addr = netip.Addr{}
		}
	case gomilter.CodeConn:
		s.addr = clientAddr(data)
		s.goOn(gomilter.OptNoConnReply)
	case gomilter.CodeHelo, gomilter.CodeData, gomilter.CodeEOH, gomilter.CodeBody, codeUnknown:
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

// goOn replies SMFIR_CONTINUE, unless the MTA agreed to have no reply to this
// command. No MTA may do without the replies for which silent is 0.
func (s *session) goOn(silent gomilter.OptProtocol) {
	if s.protocol&silent == 0 {
		s.conn.reply(byte(gomilter.ActContinue))
	}
}

// begin makes ready for a message. An MTA may begin one without an end of the
// last.
func (s *session) begin() {
	s.forget()
	s.policy = s.server.policy.Load()
	s.queueID, s.mtaID, s.auth, s.fields, s.size, s.envelope = "", "", false, 0, 0, 0
}

// forget drops what was kept of a message, which may be two megabytes. The
// connection may then be idle for long.
func (s *session) forget() {
	s.header, s.from, s.to = emptied(s.header), "", emptied(s.to)
}

// emptied returns a slice without its elements. It keeps the room of a common
// message for the next one.
func emptied[T any](kept []T) []T {
	if cap(kept) > 64 {
		return nil
	}
	clear(kept)
	return kept[:0]
}

// clientAddr reads the address of SMFIC_CONNECT: a host name, NUL, the family
// (4 or 6 where there is an address), a port of two bytes, and the address.
func clientAddr(data []byte) netip.Addr {
	_, rest, _ := bytes.Cut(data, []byte{0})
	if len(rest) < 3 || rest[0] != '4' && rest[0] != '6' {
		return netip.Addr{}
	}
	text, _, _ := bytes.Cut(rest[3:], []byte{0})
	addr, _ := netip.ParseAddr(strings.TrimPrefix(string(text), "IPv6:"))
	return addr
}

// address returns the path of a MAIL or RCPT command without its angle
// brackets. ESMTP parameters follow it behind a NUL.
func address(data []byte) []byte {
	path, _, _ := bytes.Cut(data, []byte{0})
	return bytes.Trim(path, "<>")
}

func (s *session) rcpt(data []byte) {
	to := address(data)
	if s.envelope += len(to); s.unable() == "" {
		s.to = append(s.to, string(to))
	}
}

// addHeader keeps a field that a decision looks at, and counts the others.
func (s *session) addHeader(data []byte) {
	name, value, _ := bytes.Cut(bytes.TrimRight(data, "\x00"), []byte{0})
	s.fields++
	s.size += len(name) + len(value)
	if bytes.IndexByte(value, 0) >= 0 || !s.policy.Wants(string(name)) || s.unable() != "" {
		return
	}
	s.header = append(s.header, hashheader.Field{Name: string(name), Value: string(value)})
}

// end decides about a message that is complete, and answers.
func (s *session) end() {
	if !s.conn.busy.Load() {
		s.goOn(0) // no MAIL came before
		return
	}
	defer s.conn.rest()
	defer s.forget()
	start := time.Now()
	if reason := s.unable(); reason != "" {
		s.refuse(reason)
		return
	}
	m := stamp.Message{Header: s.header, Envelope: &stamp.Envelope{From: s.from, To: s.to}, MTAMessageID: s.mtaID,
		Client: &stamp.Client{Addr: s.addr, Authenticated: s.auth}, Received: start}
	d := stamp.Decide(&m, s.policy, s.reserver())
	if s.policy.Observe {
		s.report(d, time.Since(start))
		s.goOn(0)
		return
	}
	if !s.allowed(d.Edits) {
		s.refuse(noChanges)
		return
	}
	for _, e := range d.Edits {
		send(s.conn, e)
	}
	s.report(d, time.Since(start))
	if d.TempFail {
		s.conn.reply(byte(gomilter.ActReplyCode), "451 4.7.1 Permalink registry does not answer, try again later\x00")
		return
	}
	s.goOn(0)
}

// refuse lets a message pass unmarked.
func (s *session) refuse(reason string) {
	s.server.o.Observe.Refused(reason)
	s.conn.log.Warn("message passed unmarked", "qid", s.queueID, "reason", reason)
	s.goOn(0)
}

// unable returns why this message cannot be stamped, "" if it can. A message
// over the bounds of hashheader is named by no program.
func (s *session) unable() string {
	switch {
	case s.fields > s.server.o.MaxHeaderFields, s.size > s.server.o.MaxHeaderBytes:
		return "header_limit"
	case s.envelope > maxEnvelope:
		return "envelope_limit"
	case s.actions&gomilter.OptAddHeader == 0:
		return noChanges
	}
	return ""
}

// noChanges is the reason for a message that the MTA does not let us edit.
const noChanges = "mta_allows_no_header_changes"

// allowed reports whether the MTA takes these edits. One that allows adding
// alone gets a message marked if nothing has to be deleted or replaced.
func (s *session) allowed(edits []stamp.Edit) bool {
	changes := func(e stamp.Edit) bool { return e.Op == stamp.Replace || e.Op == stamp.Delete }
	return s.actions&gomilter.OptChangeHeader != 0 || !slices.ContainsFunc(edits, changes)
}

// maxEnvelope bounds the addresses that a session keeps of one message, in
// bytes.
const maxEnvelope = 1 << 20

// send writes an edit as SMFIR_ADDHEADER, SMFIR_INSHEADER or SMFIR_CHGHEADER
// (libmilter's mfdef.h). SMFIR_CHGHEADER with an empty value deletes the field.
func send(c *conn, e stamp.Edit) {
	index := uint32(e.Index)
	code := gomilter.ActChangeHeader
	switch e.Op {
	case stamp.Add:
		c.reply(byte(gomilter.ActAddHeader), e.Name, "\x00", e.Value, "\x00")
		return
	case stamp.Insert:
		code, index = gomilter.ActInsertHeader, 1
	}
	c.reply(byte(code), string(binary.BigEndian.AppendUint32(nil, index)), e.Name, "\x00", e.Value, "\x00")
}

// macros are the values that an MTA sends for its next command, as far as they
// are used here.
type macros struct {
	command   gomilter.Code
	queueID   string // i
	messageID string // {msg_id}
	user      string // {auth_authen}
}

// macro reads SMFIC_MACRO: the code of a command, then names and values that
// each end with a NUL. It passes over those of other commands than MAIL, RCPT
// and end of message, since Postfix sends some before each header field.
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
		case "{auth_authen}":
			s.macros.user = string(value)
		}
	}
	return nil
}

// notice keeps the macros that came for this command. MTAs send the queue id
// at different stages.
func (s *session) notice(code gomilter.Code) {
	if s.macros.command != code {
		return
	}
	s.queueID = cmp.Or(s.macros.queueID, s.queueID)
	s.mtaID = cmp.Or(s.macros.messageID, s.mtaID)
	s.auth = s.auth || s.macros.user != ""
	s.macros = macros{}
}

// reserver returns a Reserve within this message's budget, which all its calls
// share. The registry bounds each call itself. Where the policy observes,
// nothing is reserved.
func (s *session) reserver() stamp.Reserve {
	o := &s.server.o
	deadline := time.Now().Add(o.MessageBudget)
	if s.policy.Observe {
		return func(r registry.Request) (registry.Result, error) {
			ctx, cancel := context.WithDeadline(context.Background(), deadline)
			defer cancel()
			return o.Offer(ctx, r)
		}
	}
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
