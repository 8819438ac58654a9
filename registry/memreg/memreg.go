// Package memreg keeps the entries of a registry in memory, for tests. Nothing
// survives the process.
//
//	reg := registry.New(memreg.New(), registry.Options{})
package memreg

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"permalink-milter/registry"
)

// A Store is a registry.Store in memory. Make one with New.
type Store struct {
	mu      sync.Mutex
	entries map[registry.Key]registry.Entry
}

// New returns an empty store.
func New() *Store {
	return &Store{entries: make(map[registry.Key]registry.Entry)}
}

// Get implements registry.Store.
func (s *Store) Get(_ context.Context, k registry.Key) (registry.Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.entries[k], nil
}

// Update implements registry.Store.
func (s *Store) Update(_ context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next, changed := change(s.entries[k])
	switch {
	case !changed:
	case len(next.Slots) == 0:
		delete(s.entries, k)
	default:
		s.entries[k] = next
	}
	return nil
}

// Scan implements registry.Store. It yields the records in the order of lists
// and hashes.
func (s *Store) Scan(ctx context.Context, list string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		for _, k := range s.keys() {
			if list != "" && k.List != list {
				continue
			}
			e, _ := s.Get(ctx, k)
			if !yield(registry.Record{Key: k, Entry: e}, nil) {
				return
			}
		}
	}
}

func (s *Store) keys() []registry.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Keys(s.entries), func(a, b registry.Key) int {
		return cmp.Or(cmp.Compare(a.List, b.List), cmp.Compare(a.Hash, b.Hash))
	})
}

// Close implements registry.Store.
func (s *Store) Close() error { return nil }
