package lmtp

import (
	"context"
	"fmt"
	"sync"
	"testing"
)

// A next hop that does not answer holds the turn of its message's hash, and no
// other's.
func TestTurnsOfOtherKeysAreFree(t *testing.T) {
	var all turns
	done, err := all.wait(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for n := range 1000 {
		other, err := all.wait(over, fmt.Sprint(n))
		if err != nil {
			t.Fatalf("%d waits for another key: %v", n, err)
		}
		other()
	}
	if _, err := all.wait(over, "a"); err == nil {
		t.Error("two have the same turn")
	}
	done()
	if len(all.taken) != 0 {
		t.Errorf("left: %v", all.taken)
	}
}

func TestOneAtATimeHasTheTurn(t *testing.T) {
	var all turns
	var wg sync.WaitGroup
	count := 0 // the race detector tells if two count at once
	for range 50 {
		wg.Go(func() {
			for range 100 {
				done, err := all.wait(t.Context(), "a")
				if err != nil {
					t.Error(err)
					return
				}
				count++
				done()
			}
		})
	}
	wg.Wait()
	if count != 5000 {
		t.Errorf("%d", count)
	}
}
