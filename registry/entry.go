package registry

import (
	"slices"
	"strings"
	"time"

	"permalink-milter/hashheader"
)

// A State is the state of a slot of an entry.
type State uint8

// The states. A vacant slot keeps its place as long as a later one is held.
const (
	Vacant State = iota
	Reserved
	Archived
)

// String returns the name of the state in the API.
func (s State) String() string { return [...]string{"vacant", "reserved", "archived"}[s] }

// A Slot is one token of an entry.
type Slot struct {
	State    State
	Identity hashheader.Identity
	Body     Body  // zero: unknown
	Since    int64 // Unix seconds
	Expires  int64 // Unix seconds; 0: never
	URL      string
	Subject  string
}

// An Entry holds the slots of one hash on one list: the slot of ordinal n is
// Slots[n-1]. Its methods do not change it. They return the new entry.
type Entry struct{ Slots []Slot }

// reserve finds or makes the slot of an identity and returns its ordinal, 0 if
// all ordinals are taken. changed is false if the entry stays as it is.
func (e Entry) reserve(r Request, now time.Time, ttl time.Duration) (next Entry, ordinal int, outcome Outcome, changed bool) {
	for i, s := range e.Slots {
		if s.isOf(r) {
			next, changed = e.renew(i, r.Body, now, ttl)
			return next, i + 1, Held, changed
		}
	}
	next = e.trim(now)
	if r.Share && len(next.Slots) > 0 && next.Slots[0].State != Vacant {
		return e, 1, Shared, false
	}
	if len(next.Slots) >= hashheader.MaxOrdinal {
		return e, 0, Fresh, false
	}
	slot := Slot{State: Reserved, Identity: r.Identity, Body: r.Body, Since: now.Unix(), Expires: expiry(now, ttl)}
	return Entry{append(next.Slots, slot)}, len(next.Slots) + 1, Fresh, true
}

// isOf reports whether a slot is that of a request's message. Where the request
// has a body, so must the slot, unless it is reserved and waits for the body.
func (s Slot) isOf(r Request) bool {
	if s.State == Vacant || s.Identity != r.Identity {
		return false
	}
	waits := s.State == Reserved && s.Body == Body{}
	return r.Body == Body{} || s.Body == r.Body || waits
}

// renew notes the body of a slot that has none, and puts off the expiry of one
// that has used up half of its time, so that a message seen often is written
// seldom.
func (e Entry) renew(i int, body Body, now time.Time, ttl time.Duration) (Entry, bool) {
	s := e.Slots[i]
	if s.Body == (Body{}) {
		s.Body = body
	}
	if s.State == Reserved && s.Expires != 0 && s.Expires <= now.Add(ttl/2).Unix() {
		s.Expires = expiry(now, ttl)
	}
	if s == e.Slots[i] {
		return e, false
	}
	next := e.clone()
	next.Slots[i] = s
	return next, true
}

func expiry(now time.Time, ttl time.Duration) int64 {
	if ttl <= 0 {
		return 0
	}
	return now.Add(ttl).Unix()
}

// trim drops the trailing slots that no message holds.
func (e Entry) trim(now time.Time) Entry {
	return e.drop(func(s Slot) bool { return !s.held(now) })
}

// drop drops the trailing slots that are free. A slot in the middle stays: a
// token is given to another message only if no later ordinal of its hash is
// held, since readers may know those as its successors.
func (e Entry) drop(free func(Slot) bool) Entry {
	slots := e.Slots
	for len(slots) > 0 && free(slots[len(slots)-1]) {
		slots = slots[:len(slots)-1]
	}
	return Entry{slices.Clip(slots)} // so that what is appended does not change e
}

func (s Slot) held(now time.Time) bool {
	return s.State == Archived || s.State == Reserved && (s.Expires == 0 || s.Expires > now.Unix())
}

func (e Entry) clone() Entry { return Entry{slices.Clone(e.Slots)} }

// holder returns the slot of an ordinal if a message holds it. Unless id is
// zero, it must be the identity of the holder.
func (e Entry) holder(ordinal int, id hashheader.Identity, now time.Time) (Slot, error) {
	if ordinal > len(e.Slots) || !e.Slots[ordinal-1].held(now) {
		return Slot{}, ErrNotFound
	}
	s := e.Slots[ordinal-1]
	if id != (hashheader.Identity{}) && id != s.Identity {
		return s, ErrOccupied
	}
	return s, nil
}

// confirm marks an ordinal archived. changed is false if it already is, with the
// same URL and subject.
func (e Entry) confirm(ordinal int, c Confirmation, now time.Time) (next Entry, changed bool, err error) {
	s, err := e.holder(ordinal, c.Identity, now)
	if err != nil {
		return e, false, err
	}
	was := s
	s.State, s.Expires, s.URL = Archived, 0, c.URL
	if c.Subject != "" {
		s.Subject = cut(c.Subject)
	}
	if s == was {
		return e, false, nil
	}
	next = e.clone()
	next.Slots[ordinal-1] = s
	return next, true, nil
}

// cut shortens a subject to maxSubject bytes at most, at the end of a rune.
func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxSubject)], "")
}

// release vacates an ordinal.
func (e Entry) release(ordinal int, id hashheader.Identity, now time.Time) (Entry, error) {
	s, err := e.holder(ordinal, id, now)
	if err != nil {
		return e, err
	}
	if s.State == Archived {
		return e, ErrArchived
	}
	next := e.clone()
	next.Slots[ordinal-1] = Slot{}
	return next.trim(now), nil
}
