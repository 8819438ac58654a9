package boltreg_test

import (
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/registrytest/history"
)

// TestHistoriesAreLinearizable has clients that give up after the time of a
// commit or so, and opens the file again in between.
func TestHistoriesAreLinearizable(t *testing.T) {
	now := func() time.Time { return time.Unix(1800000000, 0) }
	for seed := range uint64(10) {
		path := filepath.Join(t.TempDir(), "permalinks.db")
		h := history.New()
		for half := range uint64(2) {
			reg := openAt(t, path, now)
			w := history.Workload{Seed: seed<<1 + half, List: "devel@lists.example.org", Hashes: 4, Shared: 3, Calls: 30, Timeout: time.Second, Lookups: true}
			var clients sync.WaitGroup
			for client := range 6 {
				w := w
				if client%3 == 0 {
					w.Timeout = rand.N(2 * time.Millisecond)
				}
				clients.Go(func() { w.Run(t.Context(), client, h.Record(reg, now)) })
			}
			clients.Wait()
			if err := w.Finish(t.Context(), h.Record(reg, now)); err != nil {
				t.Fatal(err)
			}
			reg.Close()
		}
		v, err := h.Check(0, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if v != nil {
			t.Fatalf("seed %d: no registry answers like this one call at a time:\n%s", seed, v)
		}
	}
}

func openAt(t *testing.T, path string, now func() time.Time) registry.Registry {
	t.Helper()
	store, err := boltreg.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return registry.New(store, registry.Options{Now: now})
}
