// Package journal keeps records in files until they are dropped, oldest first.
// It knows nothing of what they hold.
//
//	j, err := journal.Open(dir, journal.Options{MaxBytes: 256 << 20})
//	...
//	err = j.Append(ctx, record) // and it is on disk
//	...
//	for record, ok, err := j.First(); ok && err == nil; record, ok, err = j.First() {
//		handle(record)
//		err = j.Drop()
//	}
//
// A record whose handling is interrupted by a crash comes again, and with it
// those that were handled since the beginning of its segment.
//
// # Files
//
// The directory holds segments, NUMBER.journal: 8 bytes of header, "plinkjn"
// and the version 1, then the records, each as its length and its CRC-32C, 4
// bytes each, little-endian, and its bytes. It also holds an empty file, lock,
// which the process that uses the journal holds with flock(2).
//
// Segments with checksums rather than a bbolt file, for two reasons. Appending
// takes one fsync where a commit of bbolt takes two; it took 1.3 to 1.5 times
// as many records a second with one writer, and 1.5 to 1.9 times as many with
// 64. And a damaged record costs that record, not the file.
package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"permalink-milter/registry/batch"
	"permalink-milter/registry/statefile"
)

// Errors that a caller may test for with errors.Is.
var (
	ErrInUse = errors.New("another process holds the journal")
	ErrFull  = errors.New("the journal is full")
)

const segmentExt = ".journal"

// segmentBytes is the length at which a segment is sealed. A replay reads one
// segment into memory at a time, and frees the space of one at a time.
const segmentBytes = 4 << 20

// A File is what the journal needs of an os.File.
type File interface {
	io.Writer
	Sync() error
	Close() error
}

// Options of Open. The zero Options are usable, with room for nothing.
type Options struct {
	MaxBytes int64                          // of all segments
	Log      *slog.Logger                   // of damage that was found; nil for none
	Changed  func(records int, bytes int64) // called at each change of size, if not nil
}

// A Journal is an open journal. Make one with Open. It is appended to from
// many goroutines and read from one.
type Journal struct {
	// Create makes a segment file. Tests replace it with one that fails.
	Create func(name string) (File, error)

	dir     string
	o       Options
	lock    *os.File
	appends *batch.Queue[[]byte]

	mu      sync.Mutex
	sealed  []segment // no longer appended to, those of a former process among them
	active  File      // nil if none is open
	current segment   // of active
	next    int       // number of the next segment
	records int       // not yet dropped
	bytes   int64     // of all segments
	rest    []byte    // of the oldest sealed segment: records not yet dropped
}

// A segment is one file of the journal.
type segment struct {
	name    string
	records int
	bytes   int64
}

// Open opens the journal in dir, which must exist. It cuts off what a crash
// left half written.
func Open(dir string, o Options) (*Journal, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Changed == nil {
		o.Changed = func(int, int64) {}
	}
	j := &Journal{Create: create, dir: dir, o: o, next: 1}
	if err := j.takeLock(); err != nil {
		return nil, err
	}
	if err := j.recover(); err != nil {
		j.lock.Close()
		return nil, fmt.Errorf("open journal in %s: %w", dir, err)
	}
	j.changed()
	j.appends = batch.New(1, maxBatch, j.write)
	return j, nil
}

// takeLock keeps other processes away. The kernel releases the lock when this
// process dies.
func (j *Journal) takeLock() error {
	f, err := statefile.Open(filepath.Join(j.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w: stop it (a running permalink-milter?) or give each its own state_dir", j.dir, ErrInUse)
	}
	j.lock = f
	return nil
}

func create(name string) (File, error) {
	return statefile.Open(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
}

func (j *Journal) changed() { j.o.Changed(j.records, j.bytes) }

// Empty reports whether the journal holds no record.
func (j *Journal) Empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.records == 0
}

// First returns the oldest record; ok is false if there is none. The record
// is valid until Drop.
func (j *Journal) First() (record []byte, ok bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		if len(j.sealed) == 0 {
			if j.seal(); len(j.sealed) == 0 {
				return nil, false, nil
			}
		}
		if j.rest == nil {
			if err := j.load(); err != nil {
				return nil, false, err
			}
		}
		if record, n := cutFrame(j.rest); n > 0 {
			return record, true, nil
		}
		if err := j.removeOldest(); err != nil {
			return nil, false, err
		}
	}
}

// load reads the oldest segment.
func (j *Journal) load() error {
	f, err := statefile.Open(j.sealed[0].name, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	data = data[:min(int64(len(data)), j.sealed[0].bytes)] // what follows was not acknowledged
	j.rest = data[min(len(data), len(segmentHeader)):]
	return nil
}

// Drop forgets the record that First returned. After a crash it comes again,
// unless it was the last one of its segment.
func (j *Journal) Drop() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.changed()
	_, n := cutFrame(j.rest)
	j.rest = j.rest[n:]
	j.records--
	j.sealed[0].records--
	if len(j.rest) > 0 {
		return nil
	}
	return j.removeOldest()
}

func (j *Journal) removeOldest() error {
	s := j.sealed[0]
	if s.records > 0 {
		j.o.Log.Error("a journal segment is damaged, its last records are lost", "file", s.name, "records", s.records)
	}
	if err := os.Remove(s.name); err != nil {
		return fmt.Errorf("remove replayed journal: %w", err)
	}
	j.sealed, j.rest = j.sealed[1:], nil
	j.records -= s.records
	j.bytes -= s.bytes
	return nil
}

// Close writes the appends under way and closes the journal. What was
// acknowledged stays for the next process.
func (j *Journal) Close() error {
	j.appends.Close()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seal()
	return j.lock.Close()
}
