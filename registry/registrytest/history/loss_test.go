package history_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/registrytest/history"
)

// A rewinding store can forget what was changed since a moment.
type rewinding struct {
	registry.Store // the one in use
	mu             sync.RWMutex
	then           registry.Store
}

func (s *rewinding) Get(ctx context.Context, k registry.Key) (registry.Entry, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.Store.Get(ctx, k)
}

func (s *rewinding) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	time.Sleep(20 * time.Microsecond) // so that the calls last until something is lost
	return s.Store.Update(ctx, k, change)
}

// remember makes this the moment.
func (s *rewinding) remember() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.then = memreg.New()
	for r, err := range s.Scan(context.Background(), "") {
		if err == nil {
			err = put(context.Background(), s.then, r.Key, r.Entry)
		}
		if err != nil {
			panic(err)
		}
	}
}

func (s *rewinding) rewind() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Store = s.then
}

// losing runs a workload on a store that loses the changes of some moments. The
// history knows of another time in which changes may be lost, too.
func losing(t *testing.T, seed uint64, noted bool) *history.Violation {
	t.Helper()
	s, h := &rewinding{Store: memreg.New()}, history.New()
	h.Losing()()
	return hostsOf(t, h, seed, 0, func() {
		over := func() {}
		time.Sleep(2 * time.Millisecond)
		if noted {
			over = h.Losing()
		}
		s.remember()
		time.Sleep(2 * time.Millisecond)
		s.rewind()
		over()
	}, host{s, base}, host{s, base})
}

func TestALossWhileSomethingMayBeLostIsNoViolation(t *testing.T) {
	for seed := range uint64(20) {
		if v := losing(t, seed, true); v != nil {
			t.Fatalf("seed %d:\n%s", seed, v)
		}
	}
}

func TestALossAtAnotherTimeIsFound(t *testing.T) {
	for seed := range uint64(20) {
		if v := losing(t, seed, false); v != nil {
			t.Logf("found with seed %d:\n%s", seed, v)
			return
		}
	}
	t.Error("20 histories show nothing of it")
}

// A fault that has nothing to do with a loss is found in a history that has one,
// even where every call is beside a loss or behind it.
func TestOtherFaultsAreFoundBesideALoss(t *testing.T) {
	for seed := range uint64(200) {
		h, store := history.New(), memreg.New()
		over := h.Losing()
		v := hostsOf(t, h, seed, 0, func() { time.Sleep(time.Millisecond); over() }, host{store, base}, host{blind{store}, base})
		if v != nil {
			t.Logf("found with seed %d:\n%s", seed, v)
			return
		}
	}
	t.Error("200 histories show nothing of it")
}
