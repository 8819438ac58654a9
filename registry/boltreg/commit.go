package boltreg

import (
	"context"
	"slices"

	"go.etcd.io/bbolt"

	"permalink-milter/registry"
)

// maxBatch is the most updates in one commit.
const maxBatch = 1024

// An update is one call of Update.
type update struct {
	key    registry.Key
	change func(registry.Entry) (registry.Entry, bool)
}

// Update implements registry.Store. Updates that arrive while a commit is
// being synced share the next one.
func (s *Store) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	e, err := s.Get(ctx, k)
	if err != nil {
		return err
	}
	if _, changed := change(e); !changed {
		return nil
	}
	return unavailable(s.updates.Do(ctx, update{k, change}))
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
