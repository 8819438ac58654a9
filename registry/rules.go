package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"permalink-milter/hashheader"
)

// Options of New. The zero value is usable.
type Options struct {
	// TTL is how long an unconfirmed reservation lasts; 0 means for ever.
	TTL time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// New returns a registry that keeps its entries in store. Closing the registry
// closes the store.
func New(store Store, o Options) Registry {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &rules{store: store, ttl: o.TTL, now: o.Now}
}

type rules struct {
	store Store
	ttl   time.Duration
	now   func() time.Time
}

func (g *rules) Reserve(ctx context.Context, r Request) (Result, error) {
	k, err := NewKey(r.List, r.Hash)
	if err != nil {
		return Result{}, err
	}
	var entry Entry
	var ordinal int
	var outcome Outcome
	err = g.store.Update(ctx, k, func(e Entry) (Entry, bool) {
		var changed bool
		entry, ordinal, outcome, changed = e.reserve(r, g.now(), g.ttl)
		return entry, changed
	})
	if err != nil {
		return Result{}, fmt.Errorf("reserve %s on %s: %w", k.Hash, k.List, err)
	}
	if ordinal == 0 {
		return Result{}, k.full()
	}
	return Result{k.reservation(ordinal, entry.Slots[ordinal-1]), outcome}, nil
}

func (g *rules) Lookup(ctx context.Context, list, token string) (Reservation, error) {
	k, ordinal, err := tokenKey(list, token)
	if err != nil {
		return Reservation{}, err
	}
	e, err := g.store.Get(ctx, k)
	if err != nil {
		return Reservation{}, fmt.Errorf("look up %s on %s: %w", token, list, err)
	}
	s, err := e.holder(ordinal, hashheader.Identity{}, g.now())
	if err != nil {
		return Reservation{}, fmt.Errorf("look up %s on %s: %w", token, list, err)
	}
	return k.reservation(ordinal, s), nil
}

func (g *rules) LookupHash(ctx context.Context, list, hash string) ([]Reservation, error) {
	k, err := NewKey(list, hash)
	if err != nil {
		return nil, err
	}
	e, err := g.store.Get(ctx, k)
	if err != nil {
		return nil, fmt.Errorf("look up %s on %s: %w", hash, list, err)
	}
	return g.reservations(Record{k, e}), nil
}

// reservations returns the reservations of a record that have not expired.
func (g *rules) reservations(rec Record) []Reservation {
	now := g.now()
	return rec.reservations(func(s Slot) bool { return s.held(now) })
}

// Reservations returns the reservations of a record by ordinal, including
// expired ones.
func (r Record) Reservations() []Reservation {
	return r.reservations(func(s Slot) bool { return s.State != Vacant })
}

func (r Record) reservations(wanted func(Slot) bool) []Reservation {
	out := make([]Reservation, 0, len(r.Entry.Slots))
	for i, s := range r.Entry.Slots {
		if wanted(s) {
			out = append(out, r.reservation(i+1, s))
		}
	}
	return out
}

func (g *rules) Confirm(ctx context.Context, c Confirmation) (Reservation, error) {
	k, ordinal, err := tokenKey(c.List, c.Token)
	if err == nil {
		err = CheckURL(c.URL)
	}
	if err != nil {
		return Reservation{}, err
	}
	var entry Entry
	err = update(ctx, g.store, k, func(e Entry) (_ Entry, changed bool, err error) {
		entry, changed, err = e.confirm(ordinal, c, g.now())
		return entry, changed, err
	})
	if err != nil {
		return Reservation{}, fmt.Errorf("confirm %s on %s: %w", c.Token, c.List, err)
	}
	return k.reservation(ordinal, entry.Slots[ordinal-1]), nil
}

func (g *rules) Release(ctx context.Context, list, token string, id hashheader.Identity) error {
	k, ordinal, err := tokenKey(list, token)
	if err != nil {
		return err
	}
	err = update(ctx, g.store, k, func(e Entry) (Entry, bool, error) {
		next, err := e.release(ordinal, id, g.now())
		return next, err == nil, err
	})
	if err != nil {
		return fmt.Errorf("release %s on %s: %w", token, list, err)
	}
	return nil
}

// update is Store.Update for a change that may be refused. It returns the error
// of the store, or else that of the change.
func update(ctx context.Context, store Store, k Key, change func(Entry) (Entry, bool, error)) error {
	var refused error
	err := store.Update(ctx, k, func(e Entry) (next Entry, changed bool) {
		next, changed, refused = change(e)
		return next, changed
	})
	if err != nil {
		return err // change may still be running
	}
	return refused
}

func (g *rules) List(ctx context.Context, list string) iter.Seq2[Reservation, error] {
	return func(yield func(Reservation, error) bool) {
		for rec, err := range g.scan(ctx, list) {
			switch {
			case err != nil && !errors.Is(err, ErrCorrupt):
				yield(Reservation{}, fmt.Errorf("list %s: %w", cmp.Or(list, "reservations"), err))
				return
			case err != nil && !yield(Reservation{List: rec.List, Hash: rec.Hash}, err):
				return
			}
			for _, r := range g.reservations(rec) {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// scan is Store.Scan for a list that may be invalid or in upper case.
func (g *rules) scan(ctx context.Context, list string) iter.Seq2[Record, error] {
	if list == "" {
		return g.store.Scan(ctx, "")
	}
	list, err := hashheader.CheckList(list)
	if err != nil {
		return func(yield func(Record, error) bool) { yield(Record{}, err) }
	}
	return g.store.Scan(ctx, list)
}

func (g *rules) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	lists := make(map[string]bool)
	for rec, err := range g.store.Scan(ctx, "") {
		switch {
		case errors.Is(err, ErrCorrupt):
			s.Unreadable++
			continue
		case err != nil:
			return s, fmt.Errorf("stats: %w", err)
		}
		s.count(g.reservations(rec), lists)
	}
	s.Lists = len(lists)
	return s, nil
}

func (s *Stats) count(held []Reservation, lists map[string]bool) {
	if len(held) > 0 {
		s.Hashes++
		lists[held[0].List] = true
	}
	for _, r := range held {
		if r.Ordinal > 1 {
			s.Collisions++
		}
		if r.State == Archived {
			s.Archived++
			continue
		}
		s.Reserved++
	}
}

func (g *rules) Close() error { return g.store.Close() }

// NewKey returns the key of a list and a hash as stores have it: the list in
// lower case, the hash in upper case.
func NewKey(list, hash string) (Key, error) {
	list, err := hashheader.CheckList(list)
	if err != nil {
		return Key{}, err
	}
	hash, err = hashheader.CheckHash(hash)
	return Key{list, hash}, err
}

func tokenKey(list, token string) (Key, int, error) {
	hash, ordinal, err := hashheader.ParseToken(token)
	if err != nil {
		return Key{}, 0, err
	}
	k, err := NewKey(list, hash)
	return k, ordinal, err
}

func (k Key) full() error {
	return fmt.Errorf("reserve %s on %s: %w (%d)", k.Hash, k.List, ErrFull, hashheader.MaxOrdinal)
}

func (k Key) reservation(ordinal int, s Slot) Reservation {
	r := Reservation{List: k.List, Hash: k.Hash, Ordinal: ordinal, Identity: s.Identity, Body: s.Body, State: s.State,
		Since: time.Unix(s.Since, 0).UTC(), URL: s.URL, Subject: s.Subject}
	if s.Expires != 0 {
		r.Expires = time.Unix(s.Expires, 0).UTC()
	}
	return r
}
