package registrytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// sweeps are the tests of registry.Sweep on a store.
var sweeps = map[string]func(*testing.T, registry.Store){
	"a sweep removes what has expired, and nothing else": sweepExpired,
	"a sweep removes what is old, where it is told to":   sweepOld,
	"a sweep that only counts changes nothing":           sweepDry,
	"a sweep takes nothing from those who confirm":       sweepAndConfirm,
	"a sweep that is cut off has harmed nobody":          sweepCutOff,
}

// opened returns a registry on a store, with a clock and an hour for a
// reservation.
func opened(store registry.Store) (g registry.Registry, c *clock) {
	c = &clock{now: time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)}
	return registry.New(store, registry.Options{TTL: time.Hour, Now: c.Now}), c
}

func mustSweep(t *testing.T, store registry.Store, s registry.Sweep, want registry.Swept) {
	t.Helper()
	if got, err := s.Run(t.Context(), store); err != nil || got != want {
		t.Errorf("swept %+v, %v; want %+v", got, err, want)
	}
}

func mustConfirm(t *testing.T, g registry.Registry, token string) {
	t.Helper()
	if _, err := g.Confirm(t.Context(), registry.Confirmation{List: list, Token: token, URL: "https://a.example/" + token}); err != nil {
		t.Fatal(err)
	}
}

// stored returns the tokens that a store has, expired ones too.
func stored(t *testing.T, store registry.Store) (all []string) {
	t.Helper()
	for rec, err := range store.Scan(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rec.Reservations() {
			all = append(all, r.List+" "+r.Token())
		}
	}
	slices.Sort(all)
	return all
}

func wantStored(t *testing.T, store registry.Store, tokens ...string) {
	t.Helper()
	var want []string
	for _, token := range tokens {
		want = append(want, list+" "+token)
	}
	if got := stored(t, store); !slices.Equal(got, want) {
		t.Errorf("the store has %q, want %q", got, want)
	}
}

func sweepExpired(t *testing.T, store registry.Store) {
	g, c := opened(store)
	for n := range 5 {
		mustReserve(t, g, n+1)
	}
	mustConfirm(t, g, hash+"-2")
	mustSweep(t, store, registry.Sweep{Expired: c.Now()}, registry.Swept{Seen: 5})
	c.advance(2 * time.Hour)
	if _, err := g.Reserve(t.Context(), registry.Request{List: other, Hash: hash, Identity: identity(9)}); err != nil {
		t.Fatal(err)
	}
	mustSweep(t, store, registry.Sweep{Expired: c.Now(), Of: func(l string) bool { return l == other }}, registry.Swept{Seen: 1})
	var gone []string
	mustSweep(t, store, registry.Sweep{Expired: c.Now(), Removed: func(r registry.Reservation) { gone = append(gone, r.Token()) }},
		registry.Swept{Seen: 6, Removed: 3})
	if want := []string{hash + "-3", hash + "-4", hash + "-5"}; !slices.Equal(gone, want) {
		t.Errorf("removed %q, want %q", gone, want)
	}
	// The first one has expired too, but readers may know its successor.
	if got, want := stored(t, store), []string{list + " " + hash, list + " " + hash + "-2", other + " " + hash}; !slices.Equal(got, want) {
		t.Errorf("the store has %q, want %q", got, want)
	}
	wantToken(t, mustReserve(t, g, 1), hash, registry.Held)
	wantToken(t, mustReserve(t, g, 7), hash+"-3", registry.Fresh)
	wantToken(t, mustReserve(t, g, 3), hash+"-4", registry.Fresh)
}

func sweepOld(t *testing.T, store registry.Store) {
	for n := range 3 {
		at := time.Date(2026, 11, 1+n, 0, 0, 0, 0, time.UTC)
		g := registry.New(store, registry.Options{Now: func() time.Time { return at }}) // for ever
		name, err := hashheader.MD5.Hash(fmt.Append(nil, n))
		if err == nil {
			_, err = g.Reserve(t.Context(), registry.Request{List: list, Hash: name, Identity: identity(n)})
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			mustConfirm(t, g, name)
		}
	}
	since := time.Date(2026, 11, 3, 0, 0, 0, 0, time.UTC)
	mustSweep(t, store, registry.Sweep{Expired: since.AddDate(1, 0, 0)}, registry.Swept{Seen: 3})
	mustSweep(t, store, registry.Sweep{Since: since}, registry.Swept{Seen: 3, Removed: 1})
	mustSweep(t, store, registry.Sweep{Since: since.AddDate(1, 0, 0)}, registry.Swept{Seen: 2, Removed: 1})
	if got := stored(t, store); len(got) != 1 {
		t.Errorf("the store has %q, want the archived one", got)
	}
}

func sweepDry(t *testing.T, store registry.Store) {
	g, c := opened(store)
	mustReserve(t, g, 1)
	mustReserve(t, g, 2)
	c.advance(2 * time.Hour)
	mustSweep(t, store, registry.Sweep{Expired: c.Now(), DryRun: true}, registry.Swept{Seen: 2, Removed: 2})
	wantStored(t, store, hash, hash+"-2")
}

// sweepAndConfirm confirms on a host whose clock is behind that of the sweep:
// what was confirmed is there afterwards, what was not is gone.
func sweepAndConfirm(t *testing.T, store registry.Store) {
	const n = 300
	g, c := opened(store)
	tokens := make([]string, n)
	for i := range tokens {
		tokens[i], _ = hashheader.MD5.Hash(fmt.Append(nil, i))
		if _, err := g.Reserve(t.Context(), registry.Request{List: list, Hash: tokens[i], Identity: identity(i)}); err != nil {
			t.Fatal(err)
		}
	}
	confirmed := make([]bool, n)
	var wg sync.WaitGroup
	wg.Go(func() { registry.Sweep{Expired: c.Now().Add(2 * time.Hour)}.Run(t.Context(), store) })
	for i := range tokens {
		wg.Go(func() {
			_, err := g.Confirm(t.Context(), registry.Confirmation{List: list, Token: tokens[i], URL: "https://a.example/1"})
			if confirmed[i] = err == nil; err != nil && !errors.Is(err, registry.ErrNotFound) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i, token := range tokens {
		r, err := g.Lookup(t.Context(), list, token)
		if archived := err == nil && r.State == registry.Archived; archived != confirmed[i] {
			t.Errorf("%s: confirmed %t, and then %s, %v", token, confirmed[i], r.State, err)
		}
	}
}

func sweepCutOff(t *testing.T, store registry.Store) {
	g, c := opened(store)
	for n := range 3 {
		mustReserve(t, g, n+1)
	}
	mustConfirm(t, g, hash)
	c.advance(2 * time.Hour)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	s := registry.Sweep{Expired: c.Now(), Rate: 1}
	if _, err := s.Run(gone, store); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	mustSweep(t, store, registry.Sweep{Expired: c.Now()}, registry.Swept{Seen: 3, Removed: 2})
	wantStored(t, store, hash)
}
