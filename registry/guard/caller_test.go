package guard

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"permalink-milter/registry"
)

// messageBudget is the time of all calls for one message.
const messageBudget = 5 * time.Second

// A message to many lists spends its own time, not the registry's.
func TestAMessageThatSpendsItsTimeIsNoOutage(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(fault{delay: 6 * time.Millisecond})
		message, cancel := context.WithTimeout(t.Context(), messageBudget)
		defer cancel()
		for n := range 1000 {
			req := request(1, 1)
			req.List = fmt.Sprintf("list%d@lists.example.org", n)
			if got, err := r.Reserve(message, req); err != nil || got.Outcome != registry.Fresh && got.Outcome != registry.Journalled {
				t.Fatalf("list %d: %s, %v", n, got.Outcome, err)
			}
		}
		if c := r.tally(); !slices.Equal(c.states, []string{"closed"}) || c.journalled == 0 || c.failed > 0 {
			t.Errorf("counted %+v", c)
		}
		// Two innocent messages with one hash do not share a permalink.
		r.reserve(t, request(2, 2), hash(2), registry.Fresh)
		r.reserve(t, request(2, 3), hash(2)+"-2", registry.Fresh)
	})
}

// A caller may have little more time than one call of the registry.
func TestARegistryThatHangsIsAnOutageForCallersInAHurry(t *testing.T) {
	outage(t, func(t *testing.T, r *rig) {
		r.inner.set(blackHole)
		for range DefaultFailures {
			message, cancel := context.WithTimeout(t.Context(), budget)
			defer cancel()
			if _, err := r.Lookup(message, list, hash(1)); !errors.Is(err, registry.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		}
		if got := r.tally().states; !slices.Equal(got, []string{"closed", "open"}) {
			t.Errorf("breaker %v", got)
		}
	})
}
