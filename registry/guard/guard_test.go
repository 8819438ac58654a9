package guard

import (
	"context"
	"errors"
	"path/filepath"
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

func TestOutageIsJournalledAndReplayedInOrder(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		const n = 50
		r.inner.set(fault{dead: true})
		for i := range n {
			r.reserve(t, request(i, i), hash(i), registry.Journalled)
		}
		if c := r.tally(); c.journalled != n || c.records != n || c.bytes == 0 {
			t.Errorf("counted %+v", c)
		}
		rest(10 * retry)
		r.inner.set(fault{})
		rest(2 * retry)
		for i := range n {
			if r.holder(t, hash(i)) != identity(i) || r.inner.asked[i].Identity != identity(i) {
				t.Errorf("reservation %d was not made, or not in order", i)
			}
		}
		if c := r.tally(); c.replayed != n || c.conflicts != 0 || c.records != 0 || c.bytes != 0 {
			t.Errorf("counted %+v", c)
		}
		if left, _ := filepath.Glob(filepath.Join(r.dir, "*.journal")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		r.reserve(t, request(0, 0), hash(0), registry.Held)
		for _, want := range []string{"no longer waited for", "answers again", "the journal is replayed"} {
			if strings.Count(r.log.String(), want) != 1 {
				t.Errorf("%q is not logged once:\n%s", want, r.log)
			}
		}
	})
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

func TestTokenThatAnotherHostGaveIsAConflict(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true})
		r.reserve(t, request(1, 1), hash(1), registry.Journalled)
		if _, err := r.inner.Registry.Reserve(t.Context(), request(1, 2)); err != nil {
			t.Fatal(err)
		}
		r.inner.set(fault{})
		rest(2 * retry)
		got := conflicts(t, r.dir)
		if len(got) != 1 || r.tally().conflicts != 1 {
			t.Fatalf("conflicts: %+v, counted %d", got, r.tally().conflicts)
		}
		want := Conflict{List: list, Stamped: hash(1), Assigned: hash(1) + "-2", Identity: identity(1).String(), Holder: identity(2).String(),
			Journalled: got[0].Journalled, Replayed: got[0].Replayed}
		if got[0] != want || want.Journalled.IsZero() || !want.Replayed.After(want.Journalled) {
			t.Errorf("got %+v\nwant %+v", got[0], want)
		}
		if log := r.log.String(); !strings.Contains(log, want.Identity) || !strings.Contains(log, want.Holder) {
			t.Errorf("both identities are not in the log:\n%s", log)
		}
	})
}

func TestTwoMessagesOfOneHashInOneOutageAreAConflictOfTheSecond(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true})
		r.reserve(t, request(1, 1), hash(1), registry.Journalled)
		r.reserve(t, request(1, 2), hash(1), registry.Journalled)
		shared := request(1, 3)
		shared.Share = true
		r.reserve(t, shared, hash(1), registry.Journalled)
		r.inner.set(fault{})
		rest(2 * retry)
		got := conflicts(t, r.dir)
		if len(got) != 1 || got[0].Identity != identity(2).String() || got[0].Holder != identity(1).String() {
			t.Errorf("conflicts: %+v", got)
		}
		if r.holder(t, hash(1)) != identity(1) || r.holder(t, hash(1)+"-2") != identity(2) {
			t.Error("the registry did not give the tokens in order")
		}
	})
}

func TestHashWithoutAFreeTokenIsAConflict(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		for n := range registry.MaxOrdinal {
			if _, err := r.inner.Registry.Reserve(t.Context(), request(1, n)); err != nil {
				t.Fatal(err)
			}
		}
		r.inner.set(fault{dead: true})
		r.reserve(t, request(1, -1), hash(1), registry.Journalled)
		r.inner.set(fault{})
		rest(2 * retry)
		got := conflicts(t, r.dir)
		if len(got) != 1 || got[0].Assigned != "" || !strings.Contains(got[0].Error, registry.ErrFull.Error()) {
			t.Errorf("conflicts: %+v", got)
		}
	})
}

// A crash is an end of the process between two writes: all that a guard does
// at its end beside is to stop.
func TestReplayBeginsAnewAfterACrashAndListsNothingTwice(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{dead: true})
		for i := range 10 {
			r.reserve(t, request(i/2, i), hash(i/2), registry.Journalled)
		}
		for _, spare := range []int{0, 7, 12} {
			r.inner.set(fault{dead: true, spare: spare})
			rest(2 * retry)
			r.Close()
			r.open(t, Options{Stamp: true})
		}
		r.inner.set(fault{})
		rest(2 * retry)
		for i := range 5 {
			if r.holder(t, hash(i)) != identity(2*i) || r.holder(t, hash(i)+"-2") != identity(2*i+1) {
				t.Errorf("hash %d is another's", i)
			}
		}
		if got := conflicts(t, r.dir); len(got) != 5 {
			t.Errorf("%d conflicts, want 5: %+v", len(got), got)
		}
		if r.tally().records != 0 {
			t.Errorf("%d records left", r.tally().records)
		}
	})
}

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

func TestReplayKeepsToItsRate(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.Close()
		r.open(t, Options{Stamp: true, ReplayRate: 10})
		r.inner.set(fault{dead: true})
		for i := range 100 {
			r.reserve(t, request(i, i), hash(i), registry.Journalled)
		}
		r.inner.set(fault{})
		rest(2 * retry)
		if n := r.tally().replayed; n < 10 || n > 40 {
			t.Errorf("%d replayed in %v, at 10 a second", n, 2*retry)
		}
		r.reserve(t, request(200, 200), hash(200), registry.Fresh)
	})
}

func TestJournalIsOneProcessesOwn(t *testing.T) {
	r := newRig(t, newFaulty(), t.TempDir())
	defer r.Close()
	if _, err := New(newFaulty(), Options{Dir: r.dir}); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "state_dir") {
		t.Errorf("a second guard: %v", err)
	}
}
