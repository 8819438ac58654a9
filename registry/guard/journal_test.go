package guard

import (
	"context"
	"errors"
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
	"permalink-milter/registry/guard/journal"
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

func (d *disk) create(name string) (journal.File, error) {
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
		r.journal.Create = d.create
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
		r.journal.Create = d.create
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
		r.journal.Create = d.create
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
		r.journal.Create = d.create
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
		const segmentBytes = 4 << 20
		long := registry.Request{List: strings.Repeat("l", 200) + "@lists.example.org", Hash: hash(1), Identity: identity(1)}
		data := record{long, time.Now()}.encode()
		n := 2*segmentBytes/len(data) + 2000
		var all sync.WaitGroup
		for range n {
			all.Go(func() {
				if err := r.journal.Append(t.Context(), data); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
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
		if c := r.tally(); c.records != 0 || c.bytes != 0 || c.replayed != n {
			t.Errorf("%d written, counted %+v", n, c)
		}
	})
}

// A record that a newer version wrote must not stop the replay of the others.
func TestUnreadableReservationIsLoggedAndSkipped(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true})
		r.reserve(t, request(1, 1), hash(1), registry.Journalled)
		if err := r.journal.Append(t.Context(), []byte("\xffnew")); err != nil {
			t.Fatal(err)
		}
		r.reserve(t, request(2, 2), hash(2), registry.Journalled)
		r.inner.set(fault{})
		rest(2 * retry)
		if c := r.tally(); c.replayed != 2 || c.records != 0 || !strings.Contains(r.log.String(), "cannot be read") {
			t.Errorf("counted %+v, logged\n%s", c, r.log)
		}
	})
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
