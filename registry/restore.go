package registry

import (
	"context"
	"fmt"
	"slices"
	"time"

	"permalink-milter/hashheader"
)

// Restore puts reservations of one hash on one list, from a backup or another
// store, into a store: each message keeps its ordinal, state, URL, subject and
// times. It restores all of them or none.
//
// If the store has a message at its ordinal already, an archived reservation
// replaces one that is not, and a later expiry replaces an earlier one;
// otherwise the reservation in the store stays. Restore returns ErrOccupied if
// the store has another message at an ordinal, or one of these messages at
// another ordinal, and ErrInvalid for a reservation that the rules would not
// have made. changed is false if all of them were there.
func Restore(ctx context.Context, store Store, back []Reservation) (changed bool, err error) {
	if len(back) == 0 {
		return false, nil
	}
	k, err := NewKey(back[0].List, back[0].Hash)
	for i := 0; err == nil && i < len(back); i++ {
		err = back[i].restorable(k)
	}
	if err != nil {
		return false, err
	}
	err = update(ctx, store, k, func(e Entry) (Entry, bool, error) {
		next, err := e.restore(back, time.Now())
		changed = err == nil && !slices.Equal(next.Slots, e.Slots)
		return next, changed, err
	})
	if err != nil {
		return false, fmt.Errorf("restore %s on %s: %w", k.Hash, k.List, err)
	}
	return changed, nil
}

// restorable returns an error for a reservation that the rules would not have
// made under k.
func (r Reservation) restorable(k Key) error {
	own, err := NewKey(r.List, r.Hash)
	switch {
	case err != nil:
		return err
	case own != k:
		return fmt.Errorf("%w: %s on %s among those of %s on %s", ErrInvalid, r.Hash, r.List, k.Hash, k.List)
	case r.Ordinal < 1 || r.Ordinal > hashheader.MaxOrdinal:
		return fmt.Errorf("%w ordinal %d: want 1 to %d", ErrInvalid, r.Ordinal, hashheader.MaxOrdinal)
	case r.State != Reserved && r.State != Archived:
		return fmt.Errorf("%w state: want %s or %s", ErrInvalid, Reserved, Archived)
	case len(r.Subject) > maxSubject:
		return fmt.Errorf("%w subject of %d bytes: want at most %d", ErrInvalid, len(r.Subject), maxSubject)
	case r.Since.Unix() < 0 || !r.Expires.IsZero() && r.Expires.Unix() <= 0:
		return fmt.Errorf("%w time: it is before 1970", ErrInvalid)
	case max(r.Since.Unix(), r.Expires.Unix()) > lastTime:
		return fmt.Errorf("%w time: it is after 9999", ErrInvalid)
	case r.URL == "":
		return nil
	}
	return CheckURL(r.URL)
}

// restore is Restore for one entry.
func (e Entry) restore(back []Reservation, now time.Time) (Entry, error) {
	next := e.clone()
	for _, r := range back {
		slot := r.slot()
		for len(next.Slots) < r.Ordinal {
			next.Slots = append(next.Slots, Slot{})
		}
		there := &next.Slots[r.Ordinal-1]
		if there.held(now) && !there.matches(slot) {
			return e, fmt.Errorf("%s: %w", r.Token(), ErrOccupied)
		}
		holds := func(s Slot) bool { return s.held(now) && s.Identity == slot.Identity && s.Body == slot.Body }
		if i := slices.IndexFunc(next.Slots, holds); i >= 0 && i+1 != r.Ordinal {
			return e, fmt.Errorf("%s is of a message that holds %s: %w", r.Token(), hashheader.Token(r.Hash, i+1), ErrOccupied)
		}
		*there = there.join(slot)
	}
	return next, nil
}

// matches reports whether two slots are of one message, as far as their bodies
// are known.
func (s Slot) matches(other Slot) bool {
	unknown := s.Body == Body{} || other.Body == Body{}
	return s.State != Vacant && s.Identity == other.Identity && (unknown || s.Body == other.Body)
}

// join returns the slot that Restore leaves, given the slot in the store and the
// one to restore.
func (s Slot) join(back Slot) Slot {
	same := s.matches(back)
	if same && back.Body == (Body{}) {
		back.Body = s.Body
	}
	switch {
	case !same, s.State == Reserved && back.State == Archived:
		return back
	case s.State == back.State && s.Expires != 0 && (back.Expires == 0 || back.Expires > s.Expires):
		return back
	}
	return s
}

func (r Reservation) slot() Slot {
	s := Slot{State: r.State, Identity: r.Identity, Body: r.Body, Since: r.Since.Unix(), URL: r.URL, Subject: r.Subject}
	if !r.Expires.IsZero() {
		s.Expires = r.Expires.Unix()
	}
	return s
}
