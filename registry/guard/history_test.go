package guard

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/registrytest/history"
)

var (
	schedules = flag.Int("schedules", few(), "schedules of outages that the history tests run")
	firstSeed = flag.Uint64("seed", 1, "the first schedule's seed")
)

// few is how many schedules run by default. Under the race detector there are
// fewer: its runtime (of Go 1.26) now and then ends with "CHECK failed:
// tsan_rtl.cpp" in a process that has had many bubbles of synctest.
func few() int {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return 4
	}
	return 400
}

// memoryDir returns a folder of files in memory, where the system has such,
// since simulated time does not wait for a disk.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "permalink-history-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// A schedule is a sequence of outages and restarts of hosts with one registry,
// in simulated time.
type schedule struct {
	history.Workload
	rand  *rand.Rand
	dir   string
	store registry.Registry
	// between happens to a host that is restarted, while it is down.
	between func(dir string)
}

func still() time.Time { return time.Unix(1800000000, 0) }

func newSchedule(seed uint64, dir string) *schedule {
	return &schedule{
		Workload: history.Workload{Seed: seed, List: list, Hashes: 4, Shared: 3, Calls: 15, Timeout: time.Second},
		rand:     rand.New(rand.NewPCG(seed, 0)), dir: dir,
		store: registry.New(memreg.New(), registry.Options{Now: still}),
	}
}

// run makes the calls in phases. In each, some hosts have no registry, and
// after it, some are restarted.
func (s *schedule) run(t testing.TB) (*history.Violation, int) {
	h := history.New()
	var hosts []*rig
	for n := range 3 {
		hosts = append(hosts, newRig(t, &faulty{Registry: s.store}, filepath.Join(s.dir, fmt.Sprint(n))))
	}
	defer func() {
		for _, host := range hosts {
			host.Close()
		}
	}()
	for phase := range 4 {
		s.phase(h, hosts, phase)
		for _, host := range hosts {
			if s.rand.IntN(3) == 0 {
				s.restart(t, host)
			}
		}
	}
	for _, host := range hosts {
		host.inner.set(fault{})
	}
	rest(3 * retry)
	h.Drained()
	if err := s.Finish(t.Context(), h.Record(s.store, still)); err != nil {
		t.Fatal(err)
	}
	v, err := h.Check(0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return v, h.Len()
}

func (s *schedule) phase(h *history.History, hosts []*rig, phase int) {
	for _, host := range hosts {
		host.inner.set(s.fault())
	}
	var clients sync.WaitGroup
	for n, host := range hosts {
		w := s.Workload
		w.Seed = w.Seed<<8 + uint64(phase)
		clients.Go(func() { w.Run(host.ctx, n, h.Record(host, still)) })
	}
	clients.Wait()
}

func (s *schedule) fault() fault {
	return [...]fault{
		{},
		{dead: true, spare: s.rand.IntN(10)},
		{delay: time.Hour, spare: s.rand.IntN(10)},
		{delay: time.Duration(s.rand.IntN(int(budget)))},
	}[s.rand.IntN(4)]
}

func (s *schedule) restart(t testing.TB, host *rig) {
	host.Close()
	if s.between != nil {
		s.between(host.dir)
	}
	host.open(t, Options{Stamp: true})
}

// TestHistoriesOfHostsWithJournalsAreLinearizable takes a journalled call as one
// that takes effect before the journal is empty.
func TestHistoriesOfHostsWithJournalsAreLinearizable(t *testing.T) {
	calls, begin := 0, time.Now()
	for seed := *firstSeed; seed < *firstSeed+uint64(*schedules); seed++ {
		synctest.Test(t, func(t *testing.T) {
			v, n := newSchedule(seed, memoryDir(t)).run(t)
			if calls += n; v != nil {
				t.Errorf("no registry answers like this one call at a time (run again with -seed %d -schedules 1):\n%s", seed, v)
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("%d schedules, %d calls, %.0f schedules a second: each history is linearizable", *schedules, calls, float64(*schedules)/time.Since(begin).Seconds())
}

func TestALostJournalRecordIsFound(t *testing.T) {
	lose := func(dir string) {
		files, err := filepath.Glob(filepath.Join(dir, "*.journal"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			os.Remove(file)
		}
	}
	for seed := range uint64(100) {
		var found *history.Violation
		synctest.Test(t, func(t *testing.T) {
			s := newSchedule(seed, memoryDir(t))
			s.between = lose
			found, _ = s.run(t)
		})
		if found != nil {
			t.Logf("found with seed %d:\n%s", seed, found)
			return
		}
	}
	t.Error("100 histories show nothing of it")
}
