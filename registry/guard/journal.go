package guard

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
)

// ErrInUse is returned by New where another process holds the journal.
var ErrInUse = errors.New("another process holds the journal")

// ErrJournalFull is returned by Reserve, beside ErrUnavailable, where the
// journal has no room.
var ErrJournalFull = errors.New("the journal is full: bring the registry back, or raise registry.journal_max_bytes")

const segmentExt = ".journal"

// segmentBytes is the length from which on a segment is sealed: what a
// replay reads into memory at once, and the step in which it frees space.
const segmentBytes = 4 << 20

// A file is what the journal needs of an os.File.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// A journal keeps records in segment files NUMBER.journal, to which it
// appends and from which they are read in the same order. Those of a former
// process are never appended to.
type journal struct {
	dir     string
	max     int64 // bytes of all segments
	log     *slog.Logger
	lock    *os.File
	create  func(name string) (file, error)
	changed func(records int, bytes int64) // called with each change of size
	appends *batch.Queue[[]byte]

	mu      sync.Mutex
	sealed  []segment
	active  file    // nil where none is open
	current segment // of active
	next    int     // number of the next segment
	records int     // not yet dropped
	bytes   int64   // of all segments
	rest    []byte  // of the oldest sealed segment: records not yet dropped
}

// A segment is one file of the journal.
type segment struct {
	name    string
	records int
	bytes   int64
}

// openJournal opens the journal in dir and cuts off what a crash left half
// written.
func openJournal(dir string, max int64, log *slog.Logger, changed func(records int, bytes int64)) (*journal, error) {
	j := &journal{dir: dir, max: max, log: log, create: create, changed: changed, next: 1}
	if err := j.takeLock(); err != nil {
		return nil, err
	}
	if err := j.recover(); err != nil {
		j.lock.Close()
		return nil, fmt.Errorf("open journal in %s: %w", dir, err)
	}
	changed(j.records, j.bytes)
	j.appends = batch.New(1, maxBatch, j.write)
	return j, nil
}

// takeLock keeps other processes off; the kernel lets go of it when this one
// dies.
func (j *journal) takeLock() error {
	f, err := os.OpenFile(filepath.Join(j.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o640)
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

func create(name string) (file, error) {
	return os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
}

// recover reads the segments of a former process.
func (j *journal) recover() error {
	files, err := os.ReadDir(j.dir)
	if err != nil {
		return err
	}
	for _, f := range files { // in lexical order, which is that of the numbers
		if filepath.Ext(f.Name()) != segmentExt {
			continue
		}
		if _, err := fmt.Sscanf(f.Name(), "%d"+segmentExt, &j.next); err != nil {
			return fmt.Errorf("%s: no segment's name; move the file away", f.Name())
		}
		j.next++
		s, err := recoverSegment(filepath.Join(j.dir, f.Name()), j.log)
		if err != nil {
			return err
		}
		if s.records > 0 {
			j.sealed = append(j.sealed, s)
			j.records += s.records
			j.bytes += s.bytes
		}
	}
	return nil
}

// empty tells if the journal holds no record.
func (j *journal) empty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.records == 0
}

// first returns the oldest record; ok is false where there is none. Only one
// goroutine may call first and drop.
func (j *journal) first() (r record, ok bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		if len(j.sealed) == 0 {
			if j.seal(); len(j.sealed) == 0 {
				return record{}, false, nil
			}
		}
		if j.rest == nil {
			if err := j.load(); err != nil {
				return record{}, false, err
			}
		}
		if r, n := decodeRecord(j.rest); n > 0 {
			return r, true, nil
		}
		if err := j.removeOldest(); err != nil {
			return record{}, false, err
		}
	}
}

// load reads the oldest segment.
func (j *journal) load() error {
	data, err := os.ReadFile(j.sealed[0].name)
	if err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	data = data[:min(int64(len(data)), j.sealed[0].bytes)] // behind it stands what was not acknowledged
	j.rest = data[min(len(data), len(segmentHeader)):]
	return nil
}

// drop forgets the record that first returned, for good with the last one of
// its segment.
func (j *journal) drop() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer func() { j.changed(j.records, j.bytes) }()
	_, n := decodeRecord(j.rest)
	j.rest = j.rest[n:]
	j.records--
	j.sealed[0].records--
	if len(j.rest) > 0 {
		return nil
	}
	return j.removeOldest()
}

// removeOldest removes the oldest segment.
func (j *journal) removeOldest() error {
	s := j.sealed[0]
	if s.records > 0 {
		j.log.Error("a journal segment is damaged, its last reservations are lost", "file", s.name, "records", s.records)
	}
	if err := os.Remove(s.name); err != nil {
		return fmt.Errorf("remove replayed journal: %w", err)
	}
	j.sealed, j.rest = j.sealed[1:], nil
	j.records -= s.records
	j.bytes -= s.bytes
	return nil
}

// close ends the committer. What was acknowledged stays for the next process.
func (j *journal) close() error {
	j.appends.Close()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seal()
	return j.lock.Close()
}
