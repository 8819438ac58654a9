package history_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/registrytest/history"
)

const clients = 6

// hosts runs a workload on the registries of its hosts, and checks it.
func hosts(t *testing.T, seed uint64, ttl time.Duration, all ...host) *history.Violation {
	t.Helper()
	return hostsOf(t, history.New(), seed, ttl, nil, all...)
}

// hostsOf is hosts for a history that exists. Something happens beside the
// calls, unless it is nil.
func hostsOf(t *testing.T, h *history.History, seed uint64, ttl time.Duration, beside func(), all ...host) *history.Violation {
	t.Helper()
	w := history.Workload{Seed: seed, List: "devel@lists.example.org", Hashes: 4, Shared: 3, Calls: 60, Timeout: time.Second, Lookups: true}
	var wg sync.WaitGroup
	for client := range clients {
		on := all[client%len(all)]
		wg.Go(func() {
			w.Run(t.Context(), client, h.Record(registry.New(on.store, registry.Options{TTL: ttl, Now: on.now}), base))
		})
	}
	if beside != nil {
		wg.Go(beside)
	}
	wg.Wait()
	if err := w.Finish(t.Context(), h.Record(registry.New(all[0].store, registry.Options{TTL: ttl, Now: base}), base)); err != nil {
		t.Fatal(err)
	}
	v, err := h.Check(ttl, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A host is a store as one host sees it, and the host's clock.
type host struct {
	store registry.Store
	now   func() time.Time
}

func base() time.Time { return time.Unix(1800000000, 0) }

// A lossy store loses every few answers, before the change or after it.
type lossy struct {
	registry.Store
	mu   sync.Mutex
	rand *rand.Rand
}

var errLost = fmt.Errorf("the answer was lost: %w", registry.ErrUnavailable)

func (s *lossy) dice() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rand.IntN(20)
}

func (s *lossy) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	dice := s.dice()
	if dice == 0 {
		return errLost
	}
	err := s.Store.Update(ctx, k, change)
	if dice == 1 {
		return errLost
	}
	return err
}

func TestAMemoryStoreThatLosesAnswersIsLinearizable(t *testing.T) {
	for seed := range uint64(50) {
		store := memreg.New()
		loses := host{&lossy{Store: store, rand: rand.New(rand.NewPCG(seed, 1))}, base}
		if v := hosts(t, seed, 0, host{store, base}, loses); v != nil {
			t.Fatalf("seed %d:\n%s", seed, v)
		}
	}
}

// put writes an entry whatever is there.
func put(ctx context.Context, s registry.Store, k registry.Key, e registry.Entry) error {
	return s.Update(ctx, k, func(registry.Entry) (registry.Entry, bool) { return e, true })
}

// A blind store writes without a comparison with what it has read.
type blind struct{ registry.Store }

func (s blind) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	e, err := s.Get(ctx, k)
	if err != nil {
		return err
	}
	next, changed := change(e)
	if !changed {
		return nil
	}
	time.Sleep(rand.N(100 * time.Microsecond))
	return put(ctx, s.Store, k, next)
}

// A repeating store sends a write again after a lost answer, without another
// look at what is there.
type repeating struct{ *lossy }

func (s repeating) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	var wrote *registry.Entry
	err := s.lossy.Update(ctx, k, func(e registry.Entry) (registry.Entry, bool) {
		next, changed := change(e)
		if changed {
			wrote = &next
		}
		return next, changed
	})
	if !errors.Is(err, errLost) || wrote == nil {
		return err
	}
	time.Sleep(rand.N(100 * time.Microsecond))
	return put(ctx, s.Store, k, *wrote)
}

// TestPlantedFaultsAreFound shows that the check notices what it is for.
func TestPlantedFaultsAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		ttl   time.Duration
		hosts func(seed uint64) []host
	}{
		"a write without a comparison": {0, func(uint64) []host {
			store := memreg.New()
			return []host{{store, base}, {blind{store}, base}}
		}},
		"a write that is sent twice": {0, func(seed uint64) []host {
			store := memreg.New()
			return []host{{store, base}, {repeating{&lossy{Store: store, rand: rand.New(rand.NewPCG(seed, 1))}}, base}}
		}},
		"a lifetime judged by two clocks": {time.Hour, func(uint64) []host {
			store := memreg.New()
			return []host{{store, base}, {store, func() time.Time { return base().Add(2 * time.Hour) }}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := find(t, c.ttl, c.hosts)
			picture := filepath.Join(t.TempDir(), "picture.html")
			if err := v.Picture(picture); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(picture); err != nil || !strings.Contains(string(text), "reserve for") {
				t.Errorf("the picture shows no reservation: %v", err)
			}
			t.Logf("found:\n%s", v)
		})
	}
}

func find(t *testing.T, ttl time.Duration, make func(seed uint64) []host) *history.Violation {
	t.Helper()
	for seed := range uint64(200) {
		if v := hosts(t, seed, ttl, make(seed)...); v != nil {
			return v
		}
	}
	t.Fatal("200 histories show nothing of it")
	return nil
}
