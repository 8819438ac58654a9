package boltreg

import (
	"context"
	"slices"

	"go.etcd.io/bbolt"

	"permalink-milter/registry"
)

// maxBatch is the most updates in one commit.
const maxBatch = 1024

// largeEntry is the size from which an entry is large, in bytes. Without URLs, the
// 999 messages of a hash have less.
const largeEntry = 64 << 10

// An update is one call of Update.
type update struct {
	key    registry.Key
	change func(registry.Entry) (registry.Entry, bool)
}

// Update implements registry.Store. Updates that arrive while a commit is
// being synced share the next one.
//
// Large entries are changed one at a time, since a commit writes them as a whole:
// so other updates wait for one of them at most. Where the time of a caller ends
// meanwhile, that says nothing about the file.
func (s *Store) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	e, large, err := s.getSmall(k)
	if err != nil {
		return unavailable(err)
	}
	if !large {
		return s.update(ctx, e, update{k, change})
	}
	select {
	case s.large <- struct{}{}:
		defer func() { <-s.large }()
	case <-ctx.Done():
		return unavailable(registry.ErrCrowded)
	}
	if e, err = s.Get(ctx, k); err != nil {
		return err
	}
	if err = s.update(ctx, e, update{k, change}); err != nil && ctx.Err() != nil {
		return unavailable(registry.ErrCrowded)
	}
	return err
}

// getSmall returns an entry, or reports that it is large.
func (s *Store) getSmall(k registry.Key) (registry.Entry, bool, error) {
	var e registry.Entry
	var large bool
	err := s.view(func(tx *bbolt.Tx) (err error) {
		value := tx.Bucket(entriesBucket).Get(keyBytes(k))
		if large = len(value) > largeEntry; !large {
			e, err = registry.DecodeEntry(value)
		}
		return err
	})
	if err != nil {
		return registry.Entry{}, false, err
	}
	return e, large, nil
}

// update commits a change of an entry, unless it changes nothing.
func (s *Store) update(ctx context.Context, e registry.Entry, u update) error {
	if _, changed := u.change(e); !changed {
		return nil
	}
	return unavailable(s.updates.Do(ctx, u))
}

// commit applies a batch of updates in one transaction.
func (s *Store) commit(batch []update) []error {
	err := s.survive(func() error {
		return s.db.Update(func(tx *bbolt.Tx) error {
			for _, u := range batch {
				if err := u.apply(tx); err != nil {
					return err
				}
			}
			return nil
		})
	})
	return slices.Repeat([]error{err}, len(batch))
}

func (u update) apply(tx *bbolt.Tx) error {
	e, err := entry(tx, u.key)
	if err != nil {
		return err
	}
	next, changed := u.change(e)
	if !changed {
		return nil
	}
	bucket := tx.Bucket(entriesBucket)
	if len(next.Slots) == 0 {
		return bucket.Delete(keyBytes(u.key))
	}
	return bucket.Put(keyBytes(u.key), next.AppendBinary(nil))
}
