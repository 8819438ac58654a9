package boltreg

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"permalink-milter/registry"
)

// maxBatch bounds the updates of one commit.
const maxBatch = 1024

var errClosed = errors.New("registry is closed")

// An update waits for its turn in a commit. Done has room for one error, so
// that the committer never waits for a caller that gave up.
type update struct {
	key    registry.Key
	change func(registry.Entry) (registry.Entry, bool)
	done   chan error
}

// Update implements registry.Store. Updates that arrive while a commit is
// being synced share the next one, so that many writers cost few fsyncs and a
// single writer never waits for company.
func (s *Store) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	e, err := s.Get(ctx, k)
	if err != nil {
		return err
	}
	if _, changed := change(e); !changed {
		return nil
	}
	u := &update{key: k, change: change, done: make(chan error, 1)}
	select {
	case s.updates <- u:
	case <-s.closing:
		return unavailable(errClosed)
	case <-ctx.Done():
		return unavailable(ctx.Err())
	}
	return s.wait(ctx, u)
}

func (s *Store) wait(ctx context.Context, u *update) error {
	select {
	case err := <-u.done:
		return unavailable(err)
	case <-ctx.Done():
		return unavailable(ctx.Err())
	case <-s.done:
		// The committer answered all that it took before it ended.
		select {
		case err := <-u.done:
			return unavailable(err)
		default:
			return unavailable(errClosed)
		}
	}
}

// commit applies updates until the store closes.
func (s *Store) commit() {
	defer close(s.done)
	for {
		select {
		case u := <-s.updates:
			s.apply(registry.Batch(u, s.updates, maxBatch))
		case <-s.closing:
			for len(s.updates) > 0 {
				s.apply(registry.Batch(<-s.updates, s.updates, maxBatch))
			}
			return
		}
	}
}

// apply commits a batch and answers each update of it.
func (s *Store) apply(batch []*update) {
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
	for _, u := range batch {
		u.done <- err
	}
}

func (u *update) apply(tx *bbolt.Tx) error {
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
