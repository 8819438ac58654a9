// Package backfill reserves and confirms the permalinks of messages that a
// list's archive holds already.
package backfill

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/hashheader/mailbox/inorder"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// An Importer imports the messages of one list.
type Importer struct {
	Registry registry.Registry
	Policy   *stamp.Policy // its archives are those of the list
	List     string
	Timeout  time.Duration // of one answer of the registry
	// ReserveOnly leaves reservations unconfirmed: they may expire.
	ReserveOnly bool
	// Report is called with each message, in order.
	Report func(*Message)
}

// A Message is what became of one message.
type Message struct {
	mailbox.Message
	Missing string // what was done about a missing Message-ID
	Odd     string // what is unusual about the message
	Skipped string // why it gets no permalink
	Stamps  []stamp.Stamp
	// Changed reports whether a permalink was reserved or confirmed.
	Changed bool

	name string // the id that names it, its own or a derived one
}

// Wants reports whether an import looks at fields of this name.
func (im *Importer) Wants(name []byte) bool {
	return strings.EqualFold(string(name), "Subject") || im.Policy.Wants(string(name))
}

// Prepare reads a message and does not use the registry. It may be called by
// several goroutines.
func (im *Importer) Prepare(m *mailbox.Message) *Message {
	out := &Message{Message: *m}
	if m.Err != nil && m.Whole() { // the archive holds it all the same
		out.Err, out.Odd = nil, m.Err.Error()
	}
	if out.Err != nil {
		return out
	}
	out.nameIt(im.Policy.Missing)
	if value, ok := m.Header.First(hashheader.MessageIDField); ok && out.Odd == "" {
		out.Odd = hashheader.OddID(value)
	}
	return out
}

// nameIt finds the id of a message. A message without one is named only where
// every import derives the same id.
func (m *Message) nameIt(mode stamp.MissingMode) {
	id, derived, err := m.Header.NameID()
	switch {
	case errors.Is(err, hashheader.ErrNoID) && mode == stamp.MissingDerive:
		m.Missing = "skipped: it has neither From nor Date to derive one from"
	case (derived || errors.Is(err, hashheader.ErrNoID)) && mode != stamp.MissingDerive:
		m.Missing = fmt.Sprintf("skipped: missing_message_id = %q", mode)
	case err != nil:
		m.Err = err
	case derived:
		m.Missing = "an id was derived"
		m.name = string(id)
	default:
		m.name = string(id)
	}
}

// Messages are imported in windows: those of one id in their order, the others
// at the same time, since a store that syncs to disk takes many at once. Memory
// does not grow with the archive.
const (
	window  = 1024
	Workers = 64
)

// Run imports messages. It returns an error that ends the import: the
// registry's, or ctx's.
func (im *Importer) Run(ctx context.Context, messages iter.Seq[*Message]) error {
	var batch []*Message
	for m := range messages {
		if batch = append(batch, m); len(batch) < window {
			continue
		}
		if err := im.batch(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return im.batch(ctx, batch)
}

// batch imports a window and then reports it in its order.
func (im *Importer) batch(ctx context.Context, batch []*Message) error {
	for range inorder.Map(ctx, byName(batch), Workers, func(same []*Message) bool {
		for _, m := range same {
			im.archive(ctx, m)
		}
		return true
	}) {
	}
	if err := ctx.Err(); err != nil {
		return err // some calls may still be running
	}
	for _, m := range batch {
		if errors.Is(m.Err, registry.ErrUnavailable) {
			return m.Err
		}
		im.Report(m)
	}
	return nil
}

// byName yields the messages that have a name, grouped by it: two of one hash
// that were reserved at the same time could swap their tokens.
func byName(batch []*Message) iter.Seq[[]*Message] {
	groups := make(map[string][]*Message)
	var order []string
	for _, m := range batch {
		if m.name == "" {
			continue
		}
		if groups[m.name] == nil {
			order = append(order, m.name)
		}
		groups[m.name] = append(groups[m.name], m)
	}
	return func(yield func([]*Message) bool) {
		for _, name := range order {
			if !yield(groups[name]) {
				return
			}
		}
	}
}

// archive reserves a message as the milter does, and confirms its permalinks.
func (im *Importer) archive(ctx context.Context, m *Message) {
	d := stamp.Decide(&stamp.Message{Header: m.Header, Lists: []string{im.List}}, im.Policy, func(r registry.Request) (registry.Result, error) {
		ctx, cancel := context.WithTimeout(ctx, im.Timeout)
		defer cancel()
		return im.Registry.Reserve(ctx, r)
	})
	if m.Err = d.Err; m.Err != nil {
		return
	}
	if len(d.Stamps) == 0 {
		m.Skipped = strings.Join(d.Notes, "; ")
	}
	m.Stamps = d.Stamps
	confirmed := make(map[string]bool)
	for _, s := range d.Stamps {
		m.Changed = m.Changed || s.Result.Outcome == registry.Fresh
		if m.Err == nil && !confirmed[s.Result.Token()] {
			m.Err = im.confirm(ctx, m, s, d.Identity)
		}
		confirmed[s.Result.Token()] = true
	}
}

// confirm records where a message is archived, unless an archiver said so before
// or the permalink is shared with the message that holds it.
func (im *Importer) confirm(ctx context.Context, m *Message, s stamp.Stamp, id hashheader.Identity) error {
	r := s.Result
	if im.ReserveOnly || r.State == registry.Archived || r.Outcome == registry.Shared {
		return nil
	}
	url := s.URL
	if !s.Archive.Target.IsZero() {
		date, _ := m.Header.First("Date")
		var err error
		url, err = s.Archive.Target.Expand(hashheader.Permalink{List: s.List, ListID: stamp.ListID(m.Header, s.List),
			Token: s.Token, MessageID: []byte(m.name), Date: date, Identity: id, Algorithm: im.Policy.Algorithm})
		if err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, im.Timeout)
	defer cancel()
	_, err := im.Registry.Confirm(ctx, registry.Confirmation{List: r.List, Token: r.Token(), Identity: id, URL: url, Subject: m.Subject()})
	m.Changed = m.Changed || err == nil
	return err
}

// maxSubject bounds a subject in the registry and in reports, in bytes.
const maxSubject = 200

// Subject returns the decoded subject.
func (m *Message) Subject() string { return m.display("Subject") }

// Date returns the Date field, for people.
func (m *Message) Date() string { return m.display("Date") }

func (m *Message) display(name string) string {
	value, _ := m.Header.First(name)
	return hashheader.Display(value, maxSubject)
}
