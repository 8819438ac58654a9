package hosts

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest"
)

// List is the mailing list of all messages.
const List = "devel@lists.example.org"

const (
	sessions = 4  // SMTP connections to each host at once
	batch    = 10 // messages on each
	// twinEvery: of so many messages two have one Message-ID, and differ in
	// their dates. They share a hash.
	twinEvery = 5
)

// A Message is one of the traffic's, by its number.
type Message int

// Twin reports whether another message has the same hash.
func (m Message) Twin() bool { return m%twinEvery < 2 }

func (m Message) id() string {
	if m%twinEvery == 1 {
		m--
	}
	return fmt.Sprintf("%d@example.org", int(m))
}

func (m Message) date() string {
	return time.Date(2026, time.November, 24, 11, 0, int(m), 0, time.UTC).Format(time.RFC1123Z)
}

// Hash is what everybody computes.
func (m Message) Hash() string {
	hash, _ := hashheader.MD5.Hash([]byte(m.id())) // fails in FIPS 140 mode alone
	return hash
}

// Token is that of the hash's ordinal.
func (m Message) Token(ordinal int) string { return hashheader.Token(m.Hash(), ordinal) }

// Identity is what the registry knows it by.
func (m Message) Identity() hashheader.Identity {
	return hashheader.Identify(hashheader.Header{{Name: "Date", Value: m.date()}}, []byte(m.id()), []string{"message-id", "date"})
}

// Mail is the message as it is sent to the list; the subject is its number.
func (m Message) Mail() mtatest.Mail {
	return mtatest.Mail{From: "alice@example.org", To: []string{List},
		Data: fmt.Appendf(nil, "From: Alice <alice@example.org>\r\nTo: %s\r\nDate: %s\r\nMessage-ID: <%s>\r\nSubject: %d\r\n\r\nHello, list.\r\n",
			List, m.date(), m.id(), m)}
}

// Traffic sends every message through all hosts, through all at the same
// time, until Stop.
type Traffic struct {
	hosts   []*Host
	next    atomic.Int64
	stopped atomic.Bool
	all     sync.WaitGroup
	failed  chan error
}

// StartTraffic begins with message 0. What a host answers with 4xx is sent to
// it again until ctx is done.
func StartTraffic(ctx context.Context, hosts []*Host) *Traffic {
	t := &Traffic{hosts: hosts, failed: make(chan error, sessions*len(hosts))}
	for range sessions {
		t.all.Go(func() {
			for !t.stopped.Load() {
				t.send(ctx)
			}
		})
	}
	return t
}

// send sends the next batch. Every other one reaches the hosts in opposite
// orders, so that they learn of twins in either.
func (t *Traffic) send(ctx context.Context) {
	first := int(t.next.Add(batch)) - batch
	var mails []mtatest.Mail
	for i := range batch {
		mails = append(mails, Message(first+i).Mail())
	}
	var both sync.WaitGroup
	for i, h := range t.hosts {
		order := slices.Clone(mails)
		if i > 0 && first/batch%2 == 1 {
			slices.Reverse(order)
		}
		both.Go(func() {
			if err := h.Send(ctx, order...); err != nil && !t.stopped.Swap(true) {
				t.failed <- fmt.Errorf("%s: %w", h.Name, err)
			}
		})
	}
	both.Wait()
}

// Stop ends the traffic. Each host has then taken the messages 0 to sent-1.
func (t *Traffic) Stop() (sent int, err error) {
	t.stopped.Store(true)
	t.all.Wait()
	select {
	case err = <-t.failed:
	default:
	}
	return int(t.next.Load()), err
}
