// Package boltreg keeps the entries of a registry in one bbolt file, for a
// site with one mail host. An acknowledged change is on disk.
//
//	store, err := boltreg.Open("/var/lib/permalink-milter/permalinks.db")
//	...
//	reg := registry.New(store, registry.Options{})
//	defer reg.Close()
package boltreg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"permalink-milter/registry"
	"permalink-milter/registry/batch"
	"permalink-milter/registry/boltreg/filecheck"
	"permalink-milter/registry/statefile"
)

// Errors that a caller may test for with errors.Is.
var (
	ErrInUse   = filecheck.ErrInUse
	ErrDamaged = filecheck.ErrDamaged
)

var errRepair = errors.New(`to repair it, run "permalink registry check" to see the damage, "export" to save what can be read, and "import" to put that into a new file`)

// entriesBucket holds the entries: the key is list, NUL, hash; the value is
// what registry.Entry.AppendBinary writes.
var entriesBucket = []byte(filecheck.EntriesBucket)

// A Store is a registry.Store in a bbolt file. Make one with Open.
type Store struct {
	name    string
	db      *bbolt.DB
	file    *os.File              // db's
	broken  atomic.Pointer[error] // why db is no longer used
	failed  chan struct{}         // closed once broken is set
	large   chan struct{}         // has room for one update of a large entry
	updates *batch.Queue[update]
}

// Open opens or creates the file, mode 0640. One process at a time can hold
// it. One that root creates gets the owner of its folder. A file that exists is
// checked first, in a time that grows with its size: see filecheck.
func Open(name string) (*Store, error) {
	s := &Store{name: name, failed: make(chan struct{}), large: make(chan struct{}, 1)}
	if err := s.open(); err != nil {
		if s.file != nil {
			s.file.Close()
		}
		return nil, fmt.Errorf("open registry file %s: %w", name, err)
	}
	s.updates = batch.New(1, maxBatch, s.commit)
	return s, nil
}

func (s *Store) open() error {
	switch err := filecheck.Check(s.name); {
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("%w; %w", err, errRepair)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	keep := func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
		s.file, err = statefile.Open(name, flag, mode)
		return s.file, err
	}
	err := s.survive(func() (err error) {
		s.db, err = bbolt.Open(s.name, 0o640, &bbolt.Options{FreelistType: bbolt.FreelistMapType, Timeout: filecheck.LockWait, OpenFile: keep})
		return err
	})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return filecheck.InUse(s.name)
	}
	if err != nil {
		return err
	}
	if err := statefile.SyncFolder(filepath.Dir(s.name)); err != nil {
		return err
	}
	return s.survive(func() error { return s.db.Update(createBucket) })
}

func createBucket(tx *bbolt.Tx) error {
	_, err := tx.CreateBucketIfNotExists(entriesBucket)
	return err
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

// The bounds of what one read transaction covers. While a transaction lasts, the
// file cannot reuse its pages, and a scan holds what it read while its caller is
// slow: an entry can have two megabytes.
const (
	scanStep  = 1000    // records
	scanBytes = 1 << 20 // of their entries; the last one may go beyond
)

// Scan implements registry.Store. It yields the records in the order of lists
// and hashes.
func (s *Store) Scan(ctx context.Context, list string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		var prefix []byte
		if list != "" {
			prefix = []byte(list + "\x00")
		}
		for from := prefix; ; {
			records, next, err := s.step(ctx, prefix, from)
			if err != nil {
				yield(registry.Record{}, err)
				return
			}
			for _, r := range records {
				if !yield(r.Record, r.err) {
					return
				}
			}
			if next == nil {
				return
			}
			from = next
		}
	}
}

// A scanned record, or why it cannot be read.
type scanned struct {
	registry.Record
	err error
}

// step reads records, beginning at the key from. Next is the key to go on
// with, nil at the end.
func (s *Store) step(ctx context.Context, prefix, from []byte) ([]scanned, []byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	var records []scanned
	var next []byte
	size := 0
	err := s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(entriesBucket).Cursor()
		for key, value := c.Seek(from); key != nil && bytes.HasPrefix(key, prefix); key, value = c.Next() {
			if len(records) == scanStep || size >= scanBytes {
				next = bytes.Clone(key)
				return nil
			}
			size += len(value)
			e, err := registry.DecodeEntry(value)
			if err != nil {
				err = fmt.Errorf("key %q: %w", key, err)
			}
			records = append(records, scanned{registry.Record{Key: parseKey(key), Entry: e}, err})
		}
		return nil
	})
	if err != nil {
		return nil, nil, unavailable(err)
	}
	return records, next, nil
}

// Close implements registry.Store. It commits the updates under way.
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
