package guard

import (
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

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
		for n := range hashheader.MaxOrdinal {
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
