// Package stamp decides what a message gets: the lists that it is for, its
// permalinks, and the edits that bring its header in order. The milter, the
// HTTP API, the LMTP server and the tool all decide by it, so that they agree.
//
// It is pure but for the one function that it is given, which asks the
// registry. It opens nothing, logs nothing and has no clock.
//
// # How to use it
//
// Make a [Policy] with [NewPolicy], and a [Message] of the fields that
// [Policy.Wants]. [Decide] returns the [Decision]: the header edits, in an
// order that every MTA applies alike, and the permalinks.
package stamp

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A Message is what a decision needs to know of one message.
type Message struct {
	Header   hashheader.Header // the fields that Policy.Wants, in order
	Envelope *Envelope         // nil where the caller sees none
	Client   *Client           // nil where the caller sees none
	// Lists are the lists that the message is for, where the caller knows
	// better than the message; else empty.
	Lists []string
	// MTAMessageID is the Message-ID that the MTA adds after the filter to a
	// message without one (Sendmail's macro {msg_id}).
	MTAMessageID string
	// Received is when an MTA received the message, zero where none waits for
	// the decision. A message without a Date gets this one.
	Received time.Time
}

// An Envelope is that of an SMTP transaction (RFC 5321, section 2.3.1), without
// angle brackets. From is empty for the null reverse-path.
type Envelope struct {
	From string
	To   []string
}

// A Stamp is one permalink of a message.
type Stamp struct {
	Archive   *Archive
	List      string
	Token     string
	URL       string
	Algorithm hashheader.Algorithm // of Token
	Result    registry.Result
}

// A Decision is what becomes of a message.
type Decision struct {
	Edits    []Edit
	TempFail bool // answer 451 4.7.1; there are no edits
	// Fields are the fields that a right message carries: the hash fields, then
	// an Archived-At for each permalink.
	Fields    []hashheader.Field
	MessageID []byte // canonical; nil where the message is named by none
	Derived   bool   // MessageID was derived from originator fields
	Identity  hashheader.Identity
	Hash      string // of MessageID, by Policy.Algorithm
	Stamps    []Stamp
	Notes     []string // for the log: what is unusual, and why there is no permalink
	Err       error    // why the registry did not serve

	matched bool   // an archive holds a list of the message
	sent    string // the value of the Date field
}

// Reserve asks the registry for a permalink; see registry.Registry.
type Reserve func(registry.Request) (registry.Result, error)

// Decide makes the decision about one message. It calls reserve once for each
// list and algorithm, and does nothing else.
func Decide(m *Message, p *Policy, reserve Reserve) Decision {
	var d Decision
	targets := d.targets(m, p)
	d.messageID(m, p)
	if d.MessageID == nil {
		d.finish(m, p)
		return d
	}
	var err error
	if d.Hash, err = p.Algorithm.Hash(d.MessageID); err != nil {
		return Decision{Err: err}
	}
	d.Identity = hashheader.Identify(m.Header, d.MessageID, p.Identity)
	if err := d.reserveAll(p, targets, reserve); err != nil {
		return Decision{TempFail: p.OnFailure == FailureTempfail, MessageID: d.MessageID, Hash: d.Hash, Notes: d.Notes, Err: err}
	}
	d.date(m, p)
	d.finish(m, p)
	return d
}

// date adds a Date to a message that has a permalink and none. Otherwise an MTA
// or list manager behind the filter would add one, and the next filter would
// take it for another message.
func (d *Decision) date(m *Message, p *Policy) {
	if len(d.Stamps) == 0 || m.Received.IsZero() || m.Header.Count("Date") > 0 || !slices.Contains(p.Identity, "date") {
		return
	}
	d.note("no Date, one was added")
	d.Edits = append(d.Edits, Edit{Op: Add, Name: "Date", Value: hashheader.AddedDate(m.Received)})
}

// targets returns the lists that the message is for, none where no archive
// keeps it.
func (d *Decision) targets(m *Message, p *Policy) []target {
	header := d.believed(m, p)
	targets, cut := p.targets(m, header)
	d.matched = len(targets) > 0
	if !d.matched {
		d.note("no archive holds a list of this message")
	}
	if cut {
		d.note("more than %d lists, the first ones count", maxLists)
	}
	if reason := unarchived(header, targets); reason != "" && d.matched {
		d.note("%s", reason)
		return nil
	}
	return d.dated(targets, m.Header)
}

// dated returns the targets without those whose URL the message's Date cannot
// fill. A date that a host makes up would differ from host to host.
func (d *Decision) dated(targets []target, h hashheader.Header) []target {
	d.sent, _ = h.First("Date")
	return slices.DeleteFunc(targets, func(t target) bool {
		if !t.archive.URL.NeedsDate() {
			return false
		}
		_, ok := hashheader.ParseDate(d.sent)
		if !ok {
			d.note("no permalink on %s of the archive %s: %v", t.list, t.archive.Name, hashheader.ErrNoDate)
		}
		return !ok
	})
}

// messageID finds the canonical Message-ID, or makes one by the policy. A new
// one is among the edits.
func (d *Decision) messageID(m *Message, p *Policy) {
	count := m.Header.Count(hashheader.MessageIDField)
	if count > 1 {
		d.note("%d Message-ID fields, the first with an id counts", count)
	}
	canonical, err := m.Header.MessageID()
	if err == nil && len(canonical) == 0 && count == 0 {
		canonical = hashheader.Canonical(nil, m.MTAMessageID)
		if err = hashheader.CheckID(canonical); len(canonical) > 0 {
			d.note("no Message-ID, the MTA adds its own")
		}
	}
	switch {
	case err != nil:
		d.note("%v", err)
	case len(canonical) > 0:
		d.MessageID = canonical
	case p.Missing == MissingSkip:
		d.note("no Message-ID, skipped")
	default:
		d.newMessageID(m, p, count > 0)
	}
}

// newMessageID gives the message a Message-ID. Replace says that the header has
// the field, without an id in it.
func (d *Decision) newMessageID(m *Message, p *Policy, replace bool) {
	d.MessageID, d.Derived = hashheader.DeriveID(m.Header)
	if p.Missing == MissingGenerate || !d.Derived {
		d.MessageID, d.Derived = []byte(strings.ToLower(rand.Text())+"@"+p.Hostname), false
		d.note("no Message-ID, one was generated")
	} else {
		d.note("no Message-ID, one was derived")
	}
	edit := Edit{Op: Add, Name: hashheader.MessageIDField, Value: "<" + string(d.MessageID) + ">"}
	if replace {
		edit.Op, edit.Index = Replace, 1
	}
	d.Edits = append(d.Edits, edit)
}

func (d *Decision) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// reserveAll reserves the message on each of its lists and makes the
// permalinks. Its error is one of the registry that the policy does not
// forgive.
func (d *Decision) reserveAll(p *Policy, targets []target, reserve Reserve) error {
	for _, t := range targets {
		r, err := d.reserve(p, t, targets, reserve)
		if err != nil {
			return err
		}
		s, err := d.stamp(p, t, r)
		if err != nil {
			return err
		}
		d.Stamps = append(d.Stamps, s)
	}
	return nil
}

// reserve asks for the permalink on one list, unless an earlier archive needed
// the same one. Where the registry fails and the policy forgives it, the bare
// hash stands without a reservation.
func (d *Decision) reserve(p *Policy, t target, targets []target, reserve Reserve) (registry.Result, error) {
	for _, s := range d.Stamps {
		if s.List == t.list && s.Algorithm == t.algorithm {
			return s.Result, nil
		}
	}
	hash, err := t.algorithm.Hash(d.MessageID)
	if err != nil {
		return registry.Result{}, err
	}
	r, err := reserve(registry.Request{List: t.list, Hash: hash, Identity: d.Identity, Share: t.shared(targets)})
	if err == nil {
		return r, nil
	}
	d.Err = errors.Join(d.Err, err)
	if !errors.Is(err, registry.ErrFull) && p.OnFailure != FailureStamp {
		return r, err
	}
	bare := registry.Reservation{List: t.list, Hash: hash, Ordinal: 1, Identity: d.Identity}
	return registry.Result{Reservation: bare, Outcome: registry.Unreserved}, nil
}

// shared reports whether no archive would use a suffix of the token.
func (t target) shared(targets []target) bool {
	for _, other := range targets {
		if other.list == t.list && other.algorithm == t.algorithm && !other.archive.Share {
			return false
		}
	}
	return true
}

func (d *Decision) stamp(p *Policy, t target, r registry.Result) (Stamp, error) {
	token := r.Token()
	if t.archive.Share {
		token = r.Hash
	}
	url, err := t.archive.URL.Expand(hashheader.Permalink{
		List: t.list, ListID: t.listID, Token: token, MessageID: d.MessageID, Date: d.sent, Identity: d.Identity, Algorithm: p.Algorithm})
	return Stamp{t.archive, t.list, token, url, t.algorithm, r}, err
}
