// Package faults plays MTAs to a running daemon while things go wrong around it, and counts: each message that goes in
// comes out once, stamped with its own hash and permalink, or passes as registry.on_failure says. Its tests are the
// table of faults; its folder soak does the same for a long time.
//
// It looks at the daemon from outside, as a process with sockets, and knows nothing of testing.
package faults

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
)

// URL is the prefix of the permalinks of the archive that a daemon under load must have, with the template
// URL + "{token}" and the list of List.
const (
	URL  = "https://a.example/load/"
	List = "load@lists.example.org"
)

// messagesPerConnection is how many messages an MTA sends before it connects anew.
const messagesPerConnection = 20

// replyWait bounds one reply.
const replyWait = 20 * time.Second

// A Load sends messages with ids of their own to a milter. Set the exported fields, then call Run.
type Load struct {
	Network, Addr string
	// Others are prefixes of permalinks that are as right as URL, for a configuration that changes.
	Others []string
	// Unmarked tells that messages may pass as they are, while registry.on_failure is "accept".
	Unmarked bool

	next     atomic.Int64 // ids
	stamped  atomic.Int64
	other    atomic.Int64 // of these, by one of Others
	unmarked atomic.Int64
	deferred atomic.Int64
	broken   atomic.Int64

	mu    sync.Mutex
	wrong []error
}

// Counts are what became of messages. Sent counts each once, however often it was tried again after a temporary
// failure (Deferred) or a lost connection (Broken).
type Counts struct{ Sent, Stamped, Unmarked, Deferred, Broken int64 }

// Counts returns what became of the messages so far.
func (l *Load) Counts() Counts {
	return Counts{l.next.Load(), l.stamped.Load(), l.unmarked.Load(), l.deferred.Load(), l.broken.Load()}
}

// errDeferred is a milter's temporary failure.
var errDeferred = errors.New("the milter answers with a temporary failure")

// Run sends over some sessions at once until ctx ends, and then until each message that was begun is through. Its error
// tells the messages that were answered wrongly, and those that were not through after grace.
func (l *Load) Run(ctx context.Context, sessions int, grace time.Duration) error {
	end, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(grace, cancel) })()
	var wg sync.WaitGroup
	for range sessions {
		wg.Go(func() { l.session(ctx, end) })
	}
	wg.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return errors.Join(l.wrong...)
}

// session sends one message after another, each until it is through.
func (l *Load) session(ctx, end context.Context) {
	var m *peer
	for n := 0; ctx.Err() == nil; n++ {
		if n%messagesPerConnection == 0 {
			m = m.close()
		}
		id := fmt.Sprintf("%d@load.example.org", l.next.Add(1))
		for {
			var err error
			if m, err = l.try(m, id); err == nil {
				break
			}
			if end.Err() != nil {
				l.fail(fmt.Errorf("%s did not get through: %w", id, err))
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	m.close()
}

// try sends one message. It returns the connection, nil where that is lost, and the reason to try again.
func (l *Load) try(m *peer, id string) (*peer, error) {
	var err error
	if m == nil {
		if m, err = connect(l.Network, l.Addr); err != nil {
			l.broken.Add(1)
			return nil, err
		}
	}
	fields, err := m.message(id)
	switch {
	case errors.Is(err, errDeferred):
		l.deferred.Add(1)
		return m, err
	case err != nil:
		l.broken.Add(1)
		return m.close(), err
	}
	if len(fields) == 0 && l.Unmarked {
		l.unmarked.Add(1)
		return m, nil
	}
	l.stamped.Add(1)
	l.fail(l.check(id, fields))
	return m, nil
}

func (l *Load) fail(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.wrong) < 10 {
		l.wrong = append(l.wrong, err)
	}
}

// check wants the two fields of a message that no other one shares a hash with.
func (l *Load) check(id string, fields hashheader.Header) error {
	hash, err := hashheader.MD5.Hash([]byte(id))
	if err != nil {
		return err
	}
	if len(fields) != 2 || !fields[0].Is("Message-ID-MD5") || fields[0].Value != hash || !fields[1].Is(hashheader.ArchivedAtField) {
		return fmt.Errorf("%s was stamped %q", id, fields)
	}
	url, err := hashheader.ParseArchivedAt(fields[1].Value)
	if err != nil {
		return fmt.Errorf("%s: %w", id, err)
	}
	if url == URL+hash {
		return nil
	}
	for _, prefix := range l.Others {
		if url == prefix+hash {
			l.other.Add(1)
			return nil
		}
	}
	return fmt.Errorf("%s got the permalink %s", id, url)
}

// A peer is an MTA's connection to a milter.
type peer struct {
	client  *gomilter.Client
	session *gomilter.ClientSession
}

func connect(network, addr string) (*peer, error) {
	c := gomilter.NewClientWithOptions(network, addr, gomilter.ClientOptions{
		ReadTimeout: replyWait, WriteTimeout: replyWait, ActionMask: gomilter.OptAddHeader | gomilter.OptChangeHeader,
		ProtocolMask: gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoBody | gomilter.OptNoHeaderReply})
	s, err := c.Session()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &peer{c, s}, nil
}

// close ends the connection, if any, and returns none.
func (m *peer) close() *peer {
	if m != nil {
		// Either may fail where the connection is lost already.
		_ = m.session.Close()
		_ = m.client.Close()
	}
	return nil
}

// message sends a message to List and returns the fields that were added to it.
func (m *peer) message(id string) (fields hashheader.Header, err error) {
	if err := m.session.Macros(gomilter.CodeMail, "i", "4XyZ"); err != nil {
		return nil, err
	}
	steps := []func() (*gomilter.Action, error){
		func() (*gomilter.Action, error) { return m.session.Mail("a@example.org", nil) },
		func() (*gomilter.Action, error) { return m.session.Rcpt(List, nil) },
	}
	for _, line := range []string{"From: a@example.org", "Date: Tue, 24 Nov 2026 11:00:00 +0000", "Subject: load", "Message-ID: <" + id + ">"} {
		name, value, _ := strings.Cut(line, ": ")
		steps = append(steps, func() (*gomilter.Action, error) { return m.session.HeaderField(name, value) })
	}
	for _, step := range append(steps, m.session.HeaderEnd) {
		if _, err := step(); err != nil {
			return nil, err
		}
	}
	return m.end()
}

func (m *peer) end() (fields hashheader.Header, err error) {
	actions, act, err := m.session.End()
	switch {
	case err != nil:
		return nil, err
	case act.Code == gomilter.ActTempFail, act.Code == gomilter.ActReplyCode && act.SMTPCode/100 == 4:
		return nil, errDeferred
	case act.Code != gomilter.ActContinue:
		return nil, fmt.Errorf("the milter answers the end of a message with %c", act.Code)
	}
	for _, a := range actions {
		fields = append(fields, hashheader.Field{Name: a.HeaderName, Value: a.HeaderValue})
	}
	return fields, nil
}
