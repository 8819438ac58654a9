// Package registrytest is the suite that every store of a registry must pass.
//
//	func TestSuite(t *testing.T) {
//		registrytest.Run(t, func(t *testing.T) registry.Store { return mystore.New() })
//	}
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

const (
	list  = "devel@lists.example.org"
	other = "users@lists.example.org"
	// The MD5 that the two Message-IDs of a known collision share.
	hash = "7KWUTBTOSSMPYFYZ6UUJ46QCNE"
)

// A clock is one that the suite advances.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// identity returns the n-th of many different identities.
func identity(n int) hashheader.Identity {
	return hashheader.Identify(nil, fmt.Appendf(nil, "%d@example.org", n), []string{"message-id"})
}

// Run runs the suite. Open returns a new, empty store and has t clean it up.
func Run(t *testing.T, open func(t *testing.T) registry.Store) {
	RunRegistry(t, func(t *testing.T, o registry.Options) registry.Registry { return registry.New(open(t), o) })
	t.Run("any interleaving keeps the invariants", func(t *testing.T) { interleaving(t, open(t)) })
	for name, test := range sweeps {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// RunRegistry runs the suite on a registry, such as one that wraps another. Open
// returns a new, empty one with the options and has t clean it up.
func RunRegistry(t *testing.T, open func(t *testing.T, o registry.Options) registry.Registry) {
	for name, test := range map[string]func(*testing.T, registry.Registry, *clock){
		"reserve gives the lowest free token":         reserve,
		"reserving again gives the same token":        again,
		"sharing keeps the bare hash":                 share,
		"lists are separate":                          separate,
		"invalid input is refused":                    invalid,
		"confirm is for the holder and for ever":      confirm,
		"release frees the last token only":           release,
		"expiry waits for later tokens":               expire,
		"a clock that jumps takes nothing away":       clockJumps,
		"list and stats see every reservation":        listing,
		"a list of thousands is scanned whole":        scan,
		"different messages at once get every token":  different,
		"one message at once gets one token":          same,
		"a full hash refuses and harms nobody":        full,
		"a caller that gives up does not harm others": giveUp,
	} {
		t.Run(name, func(t *testing.T) {
			c := &clock{now: time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)}
			test(t, open(t, registry.Options{TTL: time.Hour, Now: c.Now}), c)
		})
	}
}

func mustReserve(t *testing.T, g registry.Registry, n int) registry.Result {
	t.Helper()
	r, err := g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(n)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantToken(t *testing.T, r registry.Result, token string, outcome registry.Outcome) {
	t.Helper()
	if r.Token() != token || r.Outcome != outcome {
		t.Errorf("got %s %s, want %s %s", r.Token(), r.Outcome, token, outcome)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got error %v, want %v", err, want)
	}
}

func reserve(t *testing.T, g registry.Registry, _ *clock) {
	wantToken(t, mustReserve(t, g, 1), hash, registry.Fresh)
	wantToken(t, mustReserve(t, g, 2), hash+"-2", registry.Fresh)
	wantToken(t, mustReserve(t, g, 3), hash+"-3", registry.Fresh)
	r, err := g.Lookup(t.Context(), list, hash+"-2")
	if err != nil || r.Identity != identity(2) || r.State != registry.Reserved || r.Since.IsZero() {
		t.Errorf("lookup: %+v, %v", r, err)
	}
	all, err := g.LookupHash(t.Context(), list, hash)
	if err != nil || len(all) != 3 || all[2].Token() != hash+"-3" {
		t.Errorf("lookup by hash: %+v, %v", all, err)
	}
}

func again(t *testing.T, g registry.Registry, c *clock) {
	mustReserve(t, g, 1)
	mustReserve(t, g, 2)
	for range 3 {
		wantToken(t, mustReserve(t, g, 2), hash+"-2", registry.Held)
		wantToken(t, mustReserve(t, g, 1), hash, registry.Held)
		c.advance(40 * time.Minute)
	}
	r, err := g.Lookup(t.Context(), list, hash)
	if err != nil || !r.Expires.After(c.Now()) {
		t.Errorf("not renewed: %+v, %v", r, err)
	}
}

func share(t *testing.T, g registry.Registry, _ *clock) {
	for n, want := range map[int]registry.Outcome{1: registry.Held, 2: registry.Shared} {
		mustReserve(t, g, 1)
		r, err := g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(n), Share: true})
		if err != nil {
			t.Fatal(err)
		}
		wantToken(t, r, hash, want)
	}
}

func separate(t *testing.T, g registry.Registry, _ *clock) {
	mustReserve(t, g, 1)
	r, err := g.Reserve(t.Context(), registry.Request{List: "Users@Lists.Example.ORG", Hash: "7kwutbtossmpyfyz6uuj46qcne", Identity: identity(2)})
	if err != nil {
		t.Fatal(err)
	}
	wantToken(t, r, hash, registry.Fresh)
	if r.List != other {
		t.Errorf("list %s is not in lower case", r.List)
	}
	_, err = g.Lookup(t.Context(), other, hash+"-2")
	wantError(t, err, registry.ErrNotFound)
}

func invalid(t *testing.T, g registry.Registry, _ *clock) {
	ctx := t.Context()
	for _, bad := range []string{"", "devel", "@x", "a b@x", "a@b\nc", "a@b@c", "<a@b>", "a\x00b@c"} {
		_, err := g.Reserve(ctx, registry.Request{List: bad, Hash: hash})
		wantError(t, err, registry.ErrInvalid)
	}
	for _, bad := range []string{"", "A", hash + "A", "1" + hash[1:], hash[:25] + "\n"} {
		_, err := g.Reserve(ctx, registry.Request{List: list, Hash: bad})
		wantError(t, err, registry.ErrInvalid)
	}
	for _, bad := range []string{hash + "-", hash + "-1", hash + "-02", hash + "-1000", hash + "-x", "-2"} {
		_, err := g.Lookup(ctx, list, bad)
		wantError(t, err, registry.ErrInvalid)
		wantError(t, g.Release(ctx, list, bad, identity(1)), registry.ErrInvalid)
	}
	for _, bad := range []string{"", "archive/1", "https://", "https://a/\nb"} {
		_, err := g.Confirm(ctx, registry.Confirmation{List: list, Token: hash, URL: bad})
		wantError(t, err, registry.ErrInvalid)
	}
}

func confirm(t *testing.T, g registry.Registry, c *clock) {
	ctx, url := t.Context(), "https://lists.example.org/1"
	mustReserve(t, g, 1)
	_, err := g.Confirm(ctx, registry.Confirmation{List: list, Token: hash, Identity: identity(2), URL: url})
	wantError(t, err, registry.ErrOccupied)
	_, err = g.Confirm(ctx, registry.Confirmation{List: list, Token: hash + "-2", URL: url})
	wantError(t, err, registry.ErrNotFound)
	for range 2 {
		r, err := g.Confirm(ctx, registry.Confirmation{List: list, Token: hash, Identity: identity(1), URL: url, Subject: "Grüße"})
		if err != nil || r.State != registry.Archived || r.URL != url || r.Subject != "Grüße" || !r.Expires.IsZero() {
			t.Fatalf("confirm: %+v, %v", r, err)
		}
	}
	c.advance(1000 * time.Hour)
	wantToken(t, mustReserve(t, g, 2), hash+"-2", registry.Fresh)
	wantToken(t, mustReserve(t, g, 1), hash, registry.Held)
	moved, err := g.Confirm(ctx, registry.Confirmation{List: list, Token: hash, URL: url + "/moved"})
	if err != nil || moved.URL != url+"/moved" || moved.Subject != "Grüße" {
		t.Errorf("confirm with a new URL: %+v, %v", moved, err)
	}
}

func release(t *testing.T, g registry.Registry, _ *clock) {
	ctx := t.Context()
	for n := range 3 {
		mustReserve(t, g, n+1)
	}
	wantError(t, g.Release(ctx, list, hash+"-2", identity(1)), registry.ErrOccupied)
	wantError(t, g.Release(ctx, list, hash+"-2", identity(2)), nil)
	wantError(t, g.Release(ctx, list, hash+"-2", identity(2)), registry.ErrNotFound)
	wantToken(t, mustReserve(t, g, 4), hash+"-4", registry.Fresh)
	wantError(t, g.Release(ctx, list, hash+"-4", identity(4)), nil)
	wantError(t, g.Release(ctx, list, hash+"-3", identity(3)), nil)
	wantToken(t, mustReserve(t, g, 5), hash+"-2", registry.Fresh)
	if _, err := g.Confirm(ctx, registry.Confirmation{List: list, Token: hash, URL: "https://a.example/1"}); err != nil {
		t.Fatal(err)
	}
	wantError(t, g.Release(ctx, list, hash, identity(1)), registry.ErrArchived)
	wantError(t, g.Release(ctx, list, hash+"-2", identity(5)), nil)
}

func expire(t *testing.T, g registry.Registry, c *clock) {
	mustReserve(t, g, 1)
	c.advance(50 * time.Minute)
	mustReserve(t, g, 2)
	c.advance(30 * time.Minute)
	_, err := g.Lookup(t.Context(), list, hash)
	wantError(t, err, registry.ErrNotFound)
	wantToken(t, mustReserve(t, g, 3), hash+"-3", registry.Fresh)
	wantToken(t, mustReserve(t, g, 1), hash, registry.Held)
	c.advance(2 * time.Hour)
	wantToken(t, mustReserve(t, g, 4), hash, registry.Fresh)
}

// clockJumps sets the clock far back and right again. Tokens that were held
// stay held by the same messages, and none expires early.
func clockJumps(t *testing.T, g registry.Registry, c *clock) {
	ctx := t.Context()
	mustReserve(t, g, 1)
	mustReserve(t, g, 2)
	if _, err := g.Confirm(ctx, registry.Confirmation{List: list, Token: hash + "-2", URL: "https://a.example/2"}); err != nil {
		t.Fatal(err)
	}
	for _, jump := range []time.Duration{-20 * 365 * 24 * time.Hour, 10 * time.Minute, 20*365*24*time.Hour - 10*time.Minute, 30 * time.Minute} {
		c.advance(jump)
		all, err := g.LookupHash(ctx, list, hash)
		if err != nil || len(all) < 2 || all[0].Identity != identity(1) || all[1].State != registry.Archived {
			t.Errorf("after a jump of %v: %+v, %v", jump, all, err)
		}
		for n, ordinal := range map[int]int{1: 1, 2: 2, 3: 3} {
			if n == 3 && jump > 0 {
				continue // it was first reserved at a wrong time
			}
			if r := mustReserve(t, g, n); r.Ordinal != ordinal {
				t.Errorf("after a jump of %v message %d has ordinal %d", jump, n, r.Ordinal)
			}
		}
	}
}

func listing(t *testing.T, g registry.Registry, _ *clock) {
	ctx := t.Context()
	for n := range 3 {
		mustReserve(t, g, n)
	}
	for _, r := range []registry.Request{{List: other, Hash: hash}, {List: "x-" + list, Hash: hash}} {
		if _, err := g.Reserve(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := g.Confirm(ctx, registry.Confirmation{List: list, Token: hash + "-2", URL: "https://a.example/2"}); err != nil {
		t.Fatal(err)
	}
	want := registry.Stats{Lists: 3, Hashes: 3, Reserved: 4, Archived: 1, Collisions: 2}
	if got, err := g.Stats(ctx); err != nil || got != want {
		t.Errorf("stats: %+v, %v; want %+v", got, err, want)
	}
	for name, want := range map[string]int{"": 5, list: 3, other: 1, "LISTS@example.org": 0} {
		if got := tokens(t, g, name); len(got) != want {
			t.Errorf("list %q: %v, want %d", name, got, want)
		}
	}
}

// tokens returns the reservations of a list. It fails if one is yielded twice.
func tokens(t *testing.T, g registry.Registry, name string) map[string]bool {
	t.Helper()
	got := make(map[string]bool)
	for r, err := range g.List(t.Context(), name) {
		if err != nil {
			t.Fatal(err)
		}
		if got[r.List+" "+r.Token()] {
			t.Errorf("%s %s is listed twice", r.List, r.Token())
		}
		got[r.List+" "+r.Token()] = true
	}
	return got
}

func scan(t *testing.T, g registry.Registry, _ *clock) {
	const n = 2500
	each(t, n, func(i int) error { return reserveNumber(t.Context(), g, list, i) })
	if got := tokens(t, g, list); len(got) != n {
		t.Errorf("%d of %d listed", len(got), n)
	}
}

// workers is the number of goroutines that reserve at once.
const workers = 64

// reserveNumber reserves the n-th of many different messages, each with a hash of
// its own.
func reserveNumber(ctx context.Context, g registry.Registry, list string, n int) error {
	hash, err := hashheader.MD5.Hash(fmt.Append(nil, n))
	if err == nil {
		_, err = g.Reserve(ctx, registry.Request{List: list, Hash: hash, Identity: identity(n)})
	}
	return err
}

// each calls do with the numbers below n, from many goroutines.
func each(t testing.TB, n int, do func(int) error) {
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for i := worker; i < n; i += workers {
				if err := do(i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}

func different(t *testing.T, g registry.Registry, _ *clock) {
	got := atOnce(t, g, func(worker int) int { return worker })
	for n := range workers {
		if token := hashheader.Token(hash, n+1); got[token] != 1 {
			t.Errorf("%s was given %d times", token, got[token])
		}
	}
}

func same(t *testing.T, g registry.Registry, _ *clock) {
	if got := atOnce(t, g, func(int) int { return 7 }); got[hash] != workers {
		t.Errorf("tokens given: %v", got)
	}
}

// atOnce has all workers reserve at once, twice each, and counts the tokens that
// they got first.
func atOnce(t *testing.T, g registry.Registry, who func(worker int) int) map[string]int {
	t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	got := make(map[string]int)
	for worker := range workers {
		wg.Go(func() {
			r := registry.Request{List: list, Hash: hash, Identity: identity(who(worker))}
			first, err := g.Reserve(t.Context(), r)
			second, err2 := g.Reserve(t.Context(), r)
			if err := errors.Join(err, err2); err != nil || first.Token() != second.Token() {
				t.Errorf("%s, then %s: %v", first.Token(), second.Token(), err)
			}
			mu.Lock()
			defer mu.Unlock()
			got[first.Token()]++
		})
	}
	wg.Wait()
	return got
}

func full(t *testing.T, g registry.Registry, _ *clock) {
	for n := range hashheader.MaxOrdinal {
		mustReserve(t, g, n)
	}
	_, err := g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(-1)})
	wantError(t, err, registry.ErrFull)
	wantToken(t, mustReserve(t, g, 0), hash, registry.Held)
}

func giveUp(t *testing.T, g registry.Registry, _ *clock) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := g.Reserve(ctx, registry.Request{List: list, Hash: hash, Identity: identity(1)})
	if err != nil {
		wantError(t, err, registry.ErrUnavailable)
		wantError(t, err, context.Canceled)
	}
	r := mustReserve(t, g, 1)
	wantToken(t, mustReserve(t, g, 2), hash+"-2", registry.Fresh)
	wantToken(t, r, hash, r.Outcome)
}
