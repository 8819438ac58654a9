package guard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest/output"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

const (
	list   = "devel@lists.example.org"
	budget = 500 * time.Millisecond
	retry  = 2 * time.Second
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(dirVariable); dir != "" {
		journalForEver(dir)
	}
	if root := os.Getenv(powerVariable); root != "" {
		liveWithCrashes(filepath.Join(root, "journal"))
		return
	}
	// On one processor, because the race detector crashes where two goroutines of a bubble of
	// synctest fire timers at the same time (golang/go#78156).
	runtime.GOMAXPROCS(1)
	goleak.VerifyTestMain(m)
}

// A fault is how a registry fails.
type fault struct {
	dead  bool          // fails at once
	with  error         // why
	delay time.Duration // takes so long, or until its context ends
	spare int           // calls that still work
}

var blackHole = fault{delay: time.Hour}

// A faulty registry fails as it is told.
type faulty struct {
	registry.Registry
	mu    sync.Mutex
	fault fault
	asked []registry.Request // that reached it under this fault
	calls int                // of all methods
}

func newFaulty() *faulty {
	return &faulty{Registry: registry.New(memreg.New(), registry.Options{})}
}

func (f *faulty) set(to fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.asked = to, nil
}

// fail counts a call and fails it where a fault is set.
func (f *faulty) fail(ctx context.Context) error {
	f.mu.Lock()
	f.calls++
	now := f.fault
	if f.fault.spare--; now.spare > 0 {
		now = fault{}
	}
	f.mu.Unlock()
	if now.dead {
		return errors.Join(registry.ErrUnavailable, now.with)
	}
	select {
	case <-time.After(now.delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f *faulty) Reserve(ctx context.Context, r registry.Request) (registry.Result, error) {
	f.mu.Lock()
	f.asked = append(f.asked, r)
	f.mu.Unlock()
	if err := f.fail(ctx); err != nil {
		return registry.Result{}, err
	}
	return f.Registry.Reserve(ctx, r)
}

func (f *faulty) Lookup(ctx context.Context, list, token string) (registry.Reservation, error) {
	if err := f.fail(ctx); err != nil {
		return registry.Reservation{}, err
	}
	return f.Registry.Lookup(ctx, list, token)
}

func (f *faulty) callCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// A tally is what an Observer has seen.
type tally struct {
	journalled, failed, replayed, conflicts int
	records                                 int
	bytes                                   int64
	states                                  []string
}

// counts is an Observer.
type counts struct {
	mu sync.Mutex
	tally
}

func (c *counts) locked(change func(*tally)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.tally)
}

func (c *counts) Journalled()    { c.locked(func(t *tally) { t.journalled++ }) }
func (c *counts) JournalFailed() { c.locked(func(t *tally) { t.failed++ }) }
func (c *counts) Breaker(state string) {
	c.locked(func(t *tally) { t.states = append(t.states, state) })
}
func (c *counts) Journal(records int, bytes int64) {
	c.locked(func(t *tally) { t.records, t.bytes = records, bytes })
}
func (c *counts) Replayed(conflict bool) {
	c.locked(func(t *tally) {
		t.replayed++
		if conflict {
			t.conflicts++
		}
	})
}

// A rig is a guard with all that a test looks at.
type rig struct {
	*Guard
	inner  *faulty
	counts *counts
	log    *output.Buffer
	dir    string
}

// newRig guards inner in stamp mode. The caller closes it.
func newRig(t testing.TB, inner *faulty, dir string) *rig {
	t.Helper()
	r := &rig{inner: inner, counts: &counts{}, log: &output.Buffer{}, dir: dir}
	r.open(t, Options{Stamp: true})
	return r
}

// open fills in the options and opens the guard.
func (r *rig) open(t testing.TB, o Options) {
	t.Helper()
	o.Dir, o.Observe, o.Log = r.dir, r.counts, slog.New(slog.NewTextHandler(r.log, nil))
	o.Timeout, o.RetryEvery = budget, retry
	var err error
	if r.Guard, err = New(r.inner, o); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) tally() (seen tally) {
	r.counts.locked(func(t *tally) { seen = *t })
	return seen
}

// hash n and identity n are different for each n.
func hash(n int) string {
	h, err := hashheader.MD5.Hash(fmt.Append(nil, n))
	if err != nil {
		panic(err)
	}
	return h
}

func identity(n int) hashheader.Identity {
	return hashheader.Identify(nil, fmt.Append(nil, n), []string{"message-id"})
}

func request(hashOf, identityOf int) registry.Request {
	return registry.Request{List: list, Hash: hash(hashOf), Identity: identity(identityOf)}
}

// reserve asks the guard and wants a token and an outcome.
func (r *rig) reserve(t testing.TB, req registry.Request, token string, outcome registry.Outcome) {
	t.Helper()
	got, err := r.Reserve(context.Background(), req)
	if err != nil {
		t.Fatal(err)
	}
	if got.Token() != token || got.Outcome != outcome || got.Identity != req.Identity {
		t.Errorf("got %s %s of %s, want %s %s", got.Token(), got.Outcome, got.Identity, token, outcome)
	}
}

// holder is who holds a token in the registry itself.
func (r *rig) holder(t testing.TB, token string) hashheader.Identity {
	t.Helper()
	got, err := r.inner.Registry.Lookup(context.Background(), list, token)
	if err != nil {
		t.Error(err)
	}
	return got.Identity
}

func conflicts(t testing.TB, dir string) (all []Conflict) {
	t.Helper()
	for c, err := range Conflicts(dir) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}
