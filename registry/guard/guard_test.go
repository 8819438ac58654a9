package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/registrytest"
)

func TestSuite(t *testing.T) {
	registrytest.RunRegistry(t, func(t *testing.T, o registry.Options) registry.Registry {
		g, err := New(registry.New(memreg.New(), o), Options{Dir: t.TempDir(), Stamp: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { g.Close() })
		return g
	})
}

// outage runs a test in a bubble of its own time.
func outage(t *testing.T, test func(t *testing.T, r *rig)) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, newFaulty(), dir)
		defer func() { r.Close() }()
		test(t, r)
	})
}

// rest lets time pass, and all that is due in it happen.
func rest(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestOtherModesReturnTheErrorAndRecoverWithoutAJournal(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.Close()
		r.open(t, Options{})
		r.inner.set(fault{dead: true})
		for range 10 {
			if _, err := r.Reserve(t.Context(), request(1, 1)); !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		if r.inner.callCount() != DefaultFailures || r.tally().journalled != 0 {
			t.Errorf("%d calls, %d journalled", r.inner.callCount(), r.tally().journalled)
		}
		rest(2 * retry)
		r.inner.set(fault{})
		rest(2 * retry)
		r.reserve(t, request(1, 1), hash(1), registry.Fresh)
		want := []string{"closed", "closed", "open", "half-open", "open", "half-open", "open", "half-open", "closed"}
		if !slices.Equal(r.tally().states, want) {
			t.Errorf("breaker states %v, want %v", r.tally().states, want)
		}
	})
}

func TestAnswersOfTheRegistryAreNoFailures(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		for range 10 {
			if _, err := r.Lookup(t.Context(), list, hash(1)); !errors.Is(err, registry.ErrNotFound) {
				t.Errorf("got %v", err)
			}
			if _, err := r.Reserve(t.Context(), registry.Request{List: "?"}); !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		}
		if r.inner.callCount() != 20 || len(r.tally().states) != 1 {
			t.Errorf("%d calls, breaker %v", r.inner.callCount(), r.tally().states)
		}
	})
}

// A message whose hash is written to all the time must not cut the others off.
func TestCrowdOfLargeEntriesIsNoOutage(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true, with: fmt.Errorf("%w: %w", registry.ErrUnavailable, registry.ErrCrowded)})
		for range 10 {
			r.reserve(t, request(1, 1), hash(1), registry.Journalled)
		}
		if len(r.tally().states) != 1 {
			t.Errorf("breaker %v", r.tally().states)
		}
	})
}

func TestUnreadableEntryHoldsUpNothing(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true})
		r.reserve(t, request(1, 1), hash(1), registry.Journalled)
		r.inner.set(fault{dead: true, with: registry.ErrCorrupt})
		for range 10 {
			if _, err := r.Reserve(t.Context(), request(1, 1)); !errors.Is(err, registry.ErrCorrupt) {
				t.Errorf("got %v", err)
			}
		}
		rest(2 * retry)
		got := conflicts(t, r.dir)
		if len(got) != 1 || !strings.Contains(got[0].Error, registry.ErrCorrupt.Error()) || r.tally().records != 0 || len(r.tally().states) != 1 {
			t.Errorf("conflicts %+v, counted %+v", got, r.tally())
		}
	})
}

func TestInvalidRequestIsNotJournalled(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true})
		for _, req := range []registry.Request{{List: "?", Hash: hash(1)}, {List: list, Hash: "?"}} {
			if _, err := r.Reserve(t.Context(), req); !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestCallerThatGivesUpIsNeitherFailureNorAnswer(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(blackHole)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for n := range DefaultFailures {
			for range 10 {
				if _, err := r.Reserve(gone, request(1, 1)); !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
			}
			if c := r.tally(); c.journalled != n || len(c.states) != 1 {
				t.Errorf("counted %+v", c)
			}
			r.reserve(t, request(1, 1), hash(1), registry.Journalled)
		}
		if got := r.tally().states; !slices.Equal(got, []string{"closed", "open"}) {
			t.Errorf("breaker %v", got)
		}
	})
}

func TestEveryCallFailsAtOnceDuringAnOutage(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(blackHole)
		for range DefaultFailures {
			r.Lookup(t.Context(), list, hash(1))
		}
		begin, calls := time.Now(), r.inner.callCount()
		_, err1 := r.Lookup(t.Context(), list, hash(1))
		_, err2 := r.LookupHash(t.Context(), list, hash(1))
		_, err3 := r.Confirm(t.Context(), registry.Confirmation{})
		err4 := r.Release(t.Context(), list, hash(1), identity(1))
		for _, err := range []error{err1, err2, err3, err4} {
			if !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		if time.Since(begin) > 0 || r.inner.callCount() != calls {
			t.Errorf("took %v and %d calls", time.Since(begin), r.inner.callCount()-calls)
		}
	})
}

// A crash is an end of the process between two writes: all that a guard does
// at its end beside is to stop.
func TestFullJournalIsAnErrorUntilItIsReplayed(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.Close()
		r.open(t, Options{Stamp: true, JournalMaxBytes: 1000})
		r.inner.set(fault{dead: true})
		refused := 0
		for i := range 100 {
			_, err := r.Reserve(t.Context(), request(i, i))
			if err != nil {
				refused++
			}
			if err != nil && (!errors.Is(err, ErrJournalFull) || !errors.Is(err, registry.ErrUnavailable)) {
				t.Errorf("got %v", err)
			}
		}
		if c := r.tally(); c.failed != refused || c.journalled != 100-refused || c.bytes > 1000 || c.bytes < 900 {
			t.Errorf("%d refused, counted %+v", refused, c)
		}
		if strings.Count(r.log.String(), "the journal of reservations fails") != 1 {
			t.Errorf("not logged once:\n%s", r.log)
		}
		r.inner.set(fault{})
		rest(2 * retry)
		r.inner.set(fault{dead: true})
		r.reserve(t, request(100, 100), hash(100), registry.Journalled)
	})
}

func TestJournalIsOneProcessesOwn(t *testing.T) {
	r := newRig(t, newFaulty(), t.TempDir())
	defer r.Close()
	if _, err := New(newFaulty(), Options{Dir: r.dir}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "state_dir") {
		t.Errorf("a second guard: %v", err)
	}
}
