// Package milter stamps the messages of an MTA: it collects what a decision
// needs from a milter session, decides, and answers with header edits.
//
// [Decide] is pure. The session never rejects a message, never reads a body,
// and changes nothing but the header fields that are ours.
package milter

import (
	"cmp"
	"context"
	"encoding/binary"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// What a session asks of the MTA; it gets what the MTA offers of it.
const (
	neededActions  = gomilter.OptAddHeader | gomilter.OptChangeHeader
	wantedActions  = neededActions | gomilter.OptSetSymList
	noReplies      = gomilter.OptNoMailReply | gomilter.OptNoRcptReply | gomilter.OptNoHeaderReply
	wantedProtocol = gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoData | gomilter.OptNoEOH |
		gomilter.OptNoBody | gomilter.OptNoUnknown | noReplies
)

// wantedMacros are those that the MTA is asked for: the queue id, and the
// Message-ID that Sendmail adds after the filter.
var wantedMacros = map[gomilter.Stage][]string{
	gomilter.StageMailFrom: {"i"},
	gomilter.StageRcptTo:   {"i"},
	gomilter.StageEOM:      {"i", "{msg_id}"},
}

// A session is one MTA's connection: any number of messages, one by one.
type session struct {
	gomilter.NoOpMilter
	server   *Server
	conn     *conn
	actions  gomilter.OptAction
	protocol gomilter.OptProtocol

	policy  *Policy
	message Message
	queueID string
	mtaID   string
	fields  int
	bytes   int
}

func newSession(s *Server, c *conn, o offer) *session {
	c.silent = o.protocol & noReplies
	c.version = min(o.version, maxVersion)
	out := &session{server: s, conn: c, policy: s.policy.Load(),
		actions: o.actions & wantedActions, protocol: o.protocol & wantedProtocol}
	c.unwanted = out.unwanted
	return out
}

// unwanted tells of a header field that no decision looks at, and counts it.
func (s *session) unwanted(name []byte) bool {
	if s.policy.wants(string(name)) {
		return false
	}
	s.fields++
	return true
}

// goOn replies to what the MTA may want no reply to. It writes the reply and
// returns nil, for which go-milter writes none: that would make a buffer of
// 4 KB for each.
func (s *session) goOn(silent gomilter.OptProtocol) gomilter.Response {
	if s.conn.silent&silent == 0 {
		s.conn.reply(byte(gomilter.ActContinue))
	}
	return nil
}

// always, for goOn: a reply that no MTA may do without.
const always gomilter.OptProtocol = 0

// begin forgets the last message. Sendmail tells of its end by nothing but
// the next one's beginning.
func (s *session) begin() {
	clear(s.message.Header)
	s.message = Message{Header: s.message.Header[:0], Recipients: s.message.Recipients[:0]}
	s.policy = s.server.policy.Load()
	s.queueID, s.mtaID, s.fields, s.bytes = "", "", 0, 0
}

// notice keeps the macros that came for the command in progress: MTAs tell
// the queue id at different stages.
func (s *session) notice() {
	m := s.conn.macros
	if m.command != s.conn.command {
		return
	}
	s.conn.macros = macros{}
	s.queueID = cmp.Or(m.queueID, s.queueID)
	s.mtaID = cmp.Or(m.messageID, s.mtaID)
}

// MailFrom implements gomilter.Milter: a message begins.
func (s *session) MailFrom(_ string, m *gomilter.Modifier) (gomilter.Response, error) {
	s.begin()
	s.conn.busy.Store(true)
	clear(m.Headers) // go-milter would keep the last message's for ever
	s.notice()
	return s.goOn(gomilter.OptNoMailReply), nil
}

// RcptTo implements gomilter.Milter.
func (s *session) RcptTo(to string, m *gomilter.Modifier) (gomilter.Response, error) {
	s.notice()
	if s.keep(len(to)) {
		s.message.Recipients = append(s.message.Recipients, to)
	}
	return s.goOn(gomilter.OptNoRcptReply), nil
}

// Header implements gomilter.Milter.
func (s *session) Header(name, value string, m *gomilter.Modifier) (gomilter.Response, error) {
	clear(m.Headers)
	if s.fields++; s.policy.wants(name) && s.keep(len(name)+len(value)) {
		s.message.Header = append(s.message.Header, hashheader.Field{Name: name, Value: value})
	}
	return s.goOn(gomilter.OptNoHeaderReply), nil
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

// Abort implements gomilter.Milter: the message ends, the connection stays.
func (s *session) Abort(*gomilter.Modifier) error {
	s.begin()
	s.conn.macros = macros{}
	s.conn.busy.Store(false)
	return nil
}

// Body implements gomilter.Milter: the message is complete.
func (s *session) Body(*gomilter.Modifier) (gomilter.Response, error) {
	s.notice()
	if !s.conn.busy.Load() {
		return s.goOn(always), nil // no MAIL came before
	}
	defer s.conn.busy.Store(false)
	s.message.MTAMessageID = s.mtaID
	start := time.Now()
	if reason := s.unable(); reason != "" {
		s.server.o.Observe.Refused(reason)
		s.conn.log.Warn("message passed unmarked", "qid", s.queueID, "reason", reason)
		return s.goOn(always), nil
	}
	d := Decide(&s.message, s.policy, s.reserver())
	for _, e := range d.Edits {
		e.send(s.conn)
	}
	s.report(d, time.Since(start))
	if d.TempFail {
		s.conn.reply('y', "451 4.7.1 Permalink registry does not answer, try again later\x00")
		return nil, nil
	}
	return s.goOn(always), nil
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
// empty value deletes the field; other than a Delete, an Edit has a value.
func (e Edit) send(c *conn) {
	if e.Op == Add {
		c.reply('h', e.Name, "\x00", e.Value, "\x00")
		return
	}
	index := binary.BigEndian.AppendUint32(nil, uint32(e.Index))
	c.reply('m', string(index), e.Name, "\x00", e.Value, "\x00")
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
