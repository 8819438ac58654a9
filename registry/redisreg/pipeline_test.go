package redisreg_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
)

// go-redis leaves the commands of a pipeline without an error where the
// server refuses the connection's greeting: nothing may take that for success.
func TestNothingSucceedsWithAWrongPassword(t *testing.T) {
	t.Parallel()
	s := server(t)
	for _, minReplicas := range []int{0, 1} {
		t.Run(fmt.Sprint("min_replicas ", minReplicas), func(t *testing.T) {
			store := open(t, redisreg.Options{URL: "redis://" + s.Addr(), Username: "mail", Password: "wrong", MinReplicas: minReplicas, Timeout: time.Second})
			reg := registry.New(store, registry.Options{})
			r := numbered(1)
			if got, err := reg.Reserve(t.Context(), r); err == nil {
				t.Errorf("Reserve: %+v", got)
			}
			if got, err := reg.Lookup(t.Context(), r.List, r.Hash); err == nil {
				t.Errorf("Lookup: %+v", got)
			}
			var err error
			for _, err = range store.Scan(t.Context(), "") {
			}
			if err == nil {
				t.Error("Scan found an empty registry")
			}
			if _, err := store.Check(t.Context()); err == nil {
				t.Error("Check finds nothing wrong")
			}
		})
	}
}

// A server that has forgotten its scripts is told them again, by each of the
// swaps that shared a pipeline.
func TestSwapsInOnePipelineOutliveAScriptFlush(t *testing.T) {
	t.Parallel()
	s := server(t)
	reg := registry.New(open(t, redisreg.Options{URL: "redis://" + s.Addr()}), registry.Options{})
	for round := range 20 {
		command(t, s, "script", "flush")
		var all sync.WaitGroup
		for n := range 100 {
			all.Go(func() {
				r := numbered(100*round + n)
				got, err := reg.Reserve(t.Context(), r)
				if err != nil || got.Outcome != registry.Fresh {
					t.Errorf("%s: %+v, %v", r.Hash, got, err)
				}
			})
		}
		all.Wait()
	}
}

// A store that closes leaves nobody waiting.
func TestCloseAmongSwaps(t *testing.T) {
	t.Parallel()
	store := open(t, redisreg.Options{URL: "redis://" + server(t).Addr(), Timeout: time.Second})
	reg := registry.New(store, registry.Options{})
	var all sync.WaitGroup
	for worker := range 50 {
		all.Go(func() {
			for n := 0; ; n++ {
				if _, err := reg.Reserve(t.Context(), numbered(worker<<20+n)); err != nil {
					return
				}
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}
