package boltreg

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"permalink-milter/registry"
)

// A call that the end of the file leaves behind goes on by itself: nothing may
// read what it sets.
func TestNothingReadsWhatAnAbandonedCallSets(t *testing.T) {
	broken := errors.New("broken")
	k := registry.Key{List: "devel@lists.example.org", Hash: "7KWUTBTOSSMPYFYZ6UUJ46QCNE"}
	same := func(e registry.Entry) (registry.Entry, bool) { return e, false }
	for range 20 {
		s, err := Open(filepath.Join(t.TempDir(), "permalinks.db"))
		if err != nil {
			t.Fatal(err)
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for s.Update(t.Context(), k, same) == nil {
				}
			})
		}
		s.fail(broken)
		all.Wait()
		if err := s.Update(t.Context(), k, same); !errors.Is(err, broken) {
			t.Error(err)
		}
		s.Close()
	}
}
