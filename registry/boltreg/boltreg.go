// Package boltreg keeps a registry's entries in one bbolt file, for a site
// with one mail host. Every acknowledged change is on disk.
package boltreg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"permalink-milter/registry"
	"permalink-milter/registry/batch"
)

// lockWait is how long Open waits for another process to let go of the file.
const lockWait = time.Second

// ErrInUse is returned by Open where another process holds the file.
var ErrInUse = errors.New("another process holds the registry file")

// entriesBucket holds the entries: the key is list, NUL, hash; the value is
// what registry.Entry.AppendBinary writes.
var entriesBucket = []byte("entries-v1")

// A Store is a registry.Store in a bbolt file. Make one with Open.
type Store struct {
	name    string
	db      *bbolt.DB
	file    *os.File              // db's
	broken  atomic.Pointer[error] // why db is no longer used
	failed  chan struct{}         // closed once broken is set
	updates *batch.Queue[update]
}

// Open opens or creates the file, mode 0640. One process at a time can hold
// it. It reads the pages of a file that is there, and returns an error that
// wraps ErrDamaged for one that cannot be trusted; see damage.go.
func Open(name string) (*Store, error) {
	var file *os.File
	openFile := func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		file, err = openSound(name, flag, mode)
		return file, err
	}
	s := &Store{name: name, failed: make(chan struct{})}
	err := s.survive(func() (err error) {
		s.db, err = bbolt.Open(name, 0o640, &bbolt.Options{FreelistType: bbolt.FreelistMapType, OpenFile: openFile})
		return err
	})
	if err == nil {
		err = s.survive(func() error { return s.db.Update(createBucket) })
	}
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, fmt.Errorf("open registry file %s: %w", name, err)
	}
	s.file = file
	s.updates = batch.New(1, maxBatch, s.commit)
	return s, nil
}

func createBucket(tx *bbolt.Tx) error {
	_, err := tx.CreateBucketIfNotExists(entriesBucket)
	return err
}

func inUse(name string) error {
	return fmt.Errorf("%s: %w: stop it (a running permalink-milter?), ask it through its [http] API, or use Redis for several hosts", name, ErrInUse)
}

func (s *Store) view(read func(*bbolt.Tx) error) error {
	return s.survive(func() error { return s.db.View(read) })
}

// Get implements registry.Store.
func (s *Store) Get(_ context.Context, k registry.Key) (registry.Entry, error) {
	var e registry.Entry
	err := s.view(func(tx *bbolt.Tx) (err error) {
		e, err = entry(tx, k)
		return err
	})
	if err != nil {
		return registry.Entry{}, unavailable(err)
	}
	return e, nil
}

func entry(tx *bbolt.Tx, k registry.Key) (registry.Entry, error) {
	return registry.DecodeEntry(tx.Bucket(entriesBucket).Get(keyBytes(k)))
}

func keyBytes(k registry.Key) []byte {
	return []byte(k.List + "\x00" + k.Hash)
}

func parseKey(key []byte) registry.Key {
	list, hash, _ := bytes.Cut(key, []byte{0})
	return registry.Key{List: string(list), Hash: string(hash)}
}

// scanStep is how many records one read transaction covers: a long one would
// keep the file from reusing its pages.
const scanStep = 1000

// Scan implements registry.Store, in the order of lists and hashes.
func (s *Store) Scan(ctx context.Context, list string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		var prefix []byte
		if list != "" {
			prefix = []byte(list + "\x00")
		}
		for next := prefix; next != nil || len(prefix) == 0; {
			var records []registry.Record
			var err error
			records, next, err = s.step(ctx, prefix, next)
			if err != nil {
				yield(registry.Record{}, err)
				return
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			if next == nil {
				return
			}
		}
	}
}

// step reads the records from the key from on; next is where to go on, nil at
// the end.
func (s *Store) step(ctx context.Context, prefix, from []byte) ([]registry.Record, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	var records []registry.Record
	var next []byte
	err := s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(entriesBucket).Cursor()
		for key, value := c.Seek(from); key != nil && bytes.HasPrefix(key, prefix); key, value = c.Next() {
			if len(records) == scanStep {
				next = bytes.Clone(key)
				return nil
			}
			e, err := registry.DecodeEntry(value)
			if err != nil {
				return fmt.Errorf("key %q: %w", key, err)
			}
			records = append(records, registry.Record{Key: parseKey(key), Entry: e})
		}
		return nil
	})
	if err != nil {
		return nil, nil, unavailable(err)
	}
	return records, next, nil
}

// Close implements registry.Store. It commits what is under way.
func (s *Store) Close() error {
	s.updates.Close()
	if s.broken.Load() != nil {
		return s.abandon()
	}
	return s.db.Close()
}

func unavailable(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", registry.ErrUnavailable, err)
}
