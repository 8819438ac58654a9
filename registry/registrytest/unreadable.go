package registrytest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"permalink-milter/registry"
)

// Unreadable checks that an entry that cannot be read hides no other one, and
// that all that reads the whole registry goes on past it. Spoil makes the entry
// of a key unreadable, and returns the store to go on with.
func Unreadable(t *testing.T, store registry.Store, spoil func(registry.Store, registry.Key) registry.Store) {
	lists := []string{"a@lists.example.org", list, "z@lists.example.org"}
	then := time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)
	o := registry.Options{TTL: time.Hour, Now: func() time.Time { return then }}
	for _, name := range lists {
		if _, err := registry.New(store, o).Reserve(t.Context(), registry.Request{List: name, Hash: hash, Identity: identity(1)}); err != nil {
			t.Fatal(err)
		}
	}
	store = spoil(store, registry.Key{List: list, Hash: hash})
	g := registry.New(store, o)
	WantUnreadable(t, g)
	_, err := g.Lookup(t.Context(), list, hash)
	wantError(t, err, registry.ErrCorrupt)
	mustSweep(t, store, registry.Sweep{Expired: then.Add(2 * time.Hour)}, registry.Swept{Seen: 2, Removed: 2, Unreadable: 1})
}

// WantUnreadable checks that a registry lists and counts the entries of
// Unreadable before its sweep.
func WantUnreadable(t *testing.T, g registry.Registry) {
	t.Helper()
	for name, want := range map[string]int{"": 3, list: 1, "z@lists.example.org": 1} {
		seen := 0
		for r, err := range g.List(t.Context(), name) {
			seen++
			if r.Hash != hash || r.List == list != errors.Is(err, registry.ErrCorrupt) {
				t.Errorf("list %q: %s on %s, %v", name, r.Hash, r.List, err)
			}
		}
		if seen != want {
			t.Errorf("list %q: %d entries, want %d", name, seen, want)
		}
	}
	want := registry.Stats{Lists: 2, Hashes: 2, Reserved: 2, Unreadable: 1}
	if got, err := g.Stats(t.Context()); err != nil || got != want {
		t.Errorf("stats %+v, %v; want %+v", got, err, want)
	}
}

// Spoil returns a store that cannot read the entry of a key.
func Spoil(store registry.Store, k registry.Key) registry.Store { return spoiled{store, k} }

type spoiled struct {
	registry.Store
	key registry.Key
}

func (s spoiled) check(k registry.Key) error {
	if k != s.key {
		return nil
	}
	return fmt.Errorf("key %q: %w: version 9", k, registry.ErrCorrupt)
}

func (s spoiled) Get(ctx context.Context, k registry.Key) (registry.Entry, error) {
	if err := s.check(k); err != nil {
		return registry.Entry{}, err
	}
	return s.Store.Get(ctx, k)
}

func (s spoiled) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	if err := s.check(k); err != nil {
		return err
	}
	return s.Store.Update(ctx, k, change)
}

func (s spoiled) Scan(ctx context.Context, list string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		for rec, err := range s.Store.Scan(ctx, list) {
			if bad := s.check(rec.Key); err == nil && bad != nil {
				rec, err = registry.Record{Key: rec.Key}, bad
			}
			if !yield(rec, err) {
				return
			}
		}
	}
}
