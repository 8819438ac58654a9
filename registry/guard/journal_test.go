package guard

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"permalink-milter/registry"
)

// A disk counts syncs and holds so many bytes.
type disk struct {
	room  atomic.Int64
	syncs atomic.Int64
	gate  chan struct{} // each sync takes one, where it is set
	pause time.Duration // before each write
	bad   bool          // cannot sync
}

type diskFile struct {
	*os.File
	disk *disk
}

func (d *disk) create(name string) (file, error) {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	return &diskFile{f, d}, err
}

// Write writes what there is room for, as a full disk does.
func (f *diskFile) Write(p []byte) (int, error) {
	time.Sleep(f.disk.pause)
	room := f.disk.room.Add(-int64(len(p)))
	if room >= 0 {
		return f.File.Write(p)
	}
	n, _ := f.File.Write(p[:max(0, int64(len(p))+room)])
	f.disk.room.Store(0)
	return n, syscall.ENOSPC
}

func (f *diskFile) Sync() error {
	f.disk.syncs.Add(1)
	if f.disk.gate != nil {
		<-f.disk.gate
	}
	if f.disk.bad {
		return syscall.EIO
	}
	return f.File.Sync()
}

func TestFullDiskIsAnErrorUntilThereIsRoom(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		d := &disk{}
		d.room.Store(1000)
		r.journal.create = d.create
		r.inner.set(fault{dead: true})
		var kept []int
		for i := range 100 {
			if i == 50 {
				d.room.Store(1000)
			}
			_, err := r.Reserve(t.Context(), request(i, i))
			if err == nil {
				kept = append(kept, i)
			} else if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		if len(kept) < 10 || len(kept) > 30 || kept[len(kept)-1] < 50 {
			t.Errorf("journalled %v", kept)
		}
		if c := r.tally(); c.failed != 100-len(kept) || c.records != len(kept) || strings.Count(r.log.String(), "no space left") != 1 {
			t.Errorf("counted %+v, logged\n%s", c, r.log)
		}
		r.Close()
		r.open(t, Options{Stamp: true})
		r.inner.set(fault{})
		rest(2 * retry)
		if c := r.tally(); c.replayed != len(kept) || c.records != 0 {
			t.Errorf("%d kept, counted %+v", len(kept), c)
		}
		for _, i := range kept {
			r.holder(t, hash(i))
		}
	})
}

func TestRecordThatIsNotSyncedIsNeitherAcknowledgedNorRead(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		d := &disk{}
		d.room.Store(1000)
		r.journal.create = d.create
		r.inner.set(fault{dead: true})
		r.reserve(t, request(1, 1), hash(1), registry.Journalled)
		d.bad = true
		if _, err := r.Reserve(t.Context(), request(2, 2)); !errors.Is(err, syscall.EIO) {
			t.Errorf("got %v", err)
		}
		r.inner.set(fault{})
		rest(2 * retry)
		if c := r.tally(); c.replayed != 1 || c.records != 0 || c.bytes != 0 {
			t.Errorf("counted %+v", c)
		}
	})
}

func TestRecordsAtOnceShareAnFsync(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		d := &disk{gate: make(chan struct{})}
		d.room.Store(1 << 20)
		r.journal.create = d.create
		r.inner.set(fault{dead: true})
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() { r.reserve(t, request(i, i), hash(i), registry.Journalled) })
		}
		synctest.Wait()
		if n := r.tally().journalled; n != 0 {
			t.Errorf("%d were acknowledged before they were synced", n)
		}
		close(d.gate)
		all.Wait()
		if n := d.syncs.Load(); n > 2 {
			t.Errorf("%d syncs for records that waited for the first one", n)
		}
	})
}

func TestCallerDoesNotWaitForADiskThatHangs(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		d := &disk{gate: make(chan struct{})}
		d.room.Store(1 << 20)
		r.journal.create = d.create
		r.inner.set(fault{dead: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := r.Reserve(ctx, request(1, 1))
		if !errors.Is(err, registry.ErrUnavailable) || r.tally().failed != 1 {
			t.Errorf("got %v, counted %+v", err, r.tally())
		}
		close(d.gate)
	})
}

func TestLongJournalIsReplayedAndFreedBySegments(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		long := registry.Request{List: strings.Repeat("l", 200) + "@lists.example.org", Hash: hash(1), Identity: identity(1)}
		data := bytes.Repeat(appendRecord(nil, record{long, time.Now()}), 1000)
		n := 0
		r.journal.mu.Lock()
		for ; n < 2*segmentBytes/len(data)+4; n++ {
			if err := r.journal.writeSynced(data, 1000); err != nil {
				t.Error(err)
			}
		}
		r.journal.mu.Unlock()
		if files, _ := filepath.Glob(filepath.Join(r.dir, "*.journal")); len(files) != 3 {
			t.Errorf("%d bytes are in %v", n*len(data), files)
		}
		r.Close()
		r.open(t, Options{})
		held := r.tally().bytes
		rest(30 * time.Second) // of a replay that takes 34
		if left := r.tally().bytes; left == 0 || left == held {
			t.Errorf("%d of %d bytes left in mid-replay", left, held)
		}
		rest(10 * time.Second)
		if c := r.tally(); c.records != 0 || c.bytes != 0 || c.replayed != n*1000 {
			t.Errorf("%d thousand written, counted %+v", n, c)
		}
	})
}

func TestCrashLeavesAndWhatBecomesOfThem(t *testing.T) {
	one := string(appendRecord(nil, goldenValue))
	flipped := one[:20] + string([]byte{one[20] ^ 4}) + one[21:]
	for name, tt := range map[string]struct {
		file    string
		records int
		log     string
		err     string
	}{
		"nothing at all":               {},
		"a header half written":        {file: segmentHeader[:5], log: "torn"},
		"zeros instead of a header":    {file: strings.Repeat("\x00", 100), log: "torn"},
		"a header alone":               {file: segmentHeader},
		"a record half written":        {file: segmentHeader + one + one[:20], records: 1, log: "bytes=20"},
		"zeros behind a record":        {file: segmentHeader + one + strings.Repeat("\x00", 30), records: 1, log: "bytes=30"},
		"two whole records":            {file: segmentHeader + one + one, records: 2},
		"a flipped bit in a record":    {file: segmentHeader + one + flipped + one, records: 2, log: "damaged_file"},
		"a flipped bit in a length":    {file: segmentHeader + "\x40" + one[1:] + one, records: 1, log: "damaged_file"},
		"a flipped bit in the header":  {file: "q" + segmentHeader[1:] + one, records: 1, log: "damaged_file"},
		"a flipped bit and a torn end": {file: segmentHeader + flipped + one + one[:20], records: 1, log: "damaged_file"},
		"a segment of a newer version": {file: segmentHeader[:7] + "\x02" + one, err: "version 2: a newer permalink-milter"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "[state*") // no pattern, for all that
			err := os.Mkdir(dir, 0o700)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "000000000007.journal"), []byte(tt.file), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			var records int
			j, err := openJournal(dir, 1<<20, slog.New(slog.NewTextHandler(&log, nil)), func(n int, _ int64) { records = n })
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer j.close()
			if records != tt.records || (log.Len() > 0) != (tt.log != "") || !strings.Contains(log.String(), tt.log) {
				t.Errorf("%d records, log %q", records, log.String())
			}
			kept, err := os.ReadFile(filepath.Join(dir, "000000000007.journal"+damagedExt))
			if damaged := strings.Contains(tt.log, "damaged"); damaged != (err == nil) || damaged && string(kept) != tt.file {
				t.Errorf("the damaged file is kept: %q, %v", kept, err)
			}
			sound := int64(len(segmentHeader) + tt.records*len(one))
			if info, err := os.Stat(filepath.Join(dir, "000000000007.journal")); tt.records > 0 && info.Size() != sound || tt.records == 0 && err == nil {
				t.Errorf("the file is not cut to what is sound: %v, %v", info, err)
			}
			if err := j.append(t.Context(), goldenValue); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "000000000008.journal")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestForeignFileInTheJournalIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "old.journal"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(newFaulty(), Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "old.journal") {
		t.Errorf("got %v", err)
	}
}

func TestClosedJournalTakesNothing(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true})
		r.Close()
		for range 10 {
			if _, err := r.Reserve(t.Context(), request(1, 1)); err == nil {
				t.Error("a reservation was acknowledged after the end")
			}
		}
		r.open(t, Options{})
	})
}
