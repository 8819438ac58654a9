package httpapi

import (
	"context"
	"net/http"
	"time"

	"permalink-milter/registry"
)

// statsTimeout bounds one reading of the whole store.
const statsTimeout = time.Minute

// counts keeps the registry's counts for a while: making them reads the whole
// store. Of several requests that find them old, one makes them.
type counts struct {
	turn chan struct{} // holds one element while it is nobody's turn
	at   time.Time
	held registry.Stats
}

func newCounts() *counts {
	c := &counts{turn: make(chan struct{}, 1)}
	c.turn <- struct{}{}
	return c
}

// stats answers GET /api/v1/stats.
func (h *Handler) stats(w http.ResponseWriter, r *http.Request) error {
	if err := h.allow(r, ScopeRead, ""); err != nil {
		return err
	}
	s, at, err := h.countAll(r.Context())
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, statsBody{s.Lists, s.Hashes, s.Reserved, s.Archived, s.Collisions, at})
	return nil
}

// countAll returns the counts and when they were made. A caller that gives up
// does not end the reading: the next one finds it done.
func (h *Handler) countAll(ctx context.Context) (registry.Stats, time.Time, error) {
	select {
	case <-h.counts.turn:
	case <-ctx.Done():
		return registry.Stats{}, time.Time{}, ctx.Err()
	}
	defer func() { h.counts.turn <- struct{}{} }()
	now := h.o.Now()
	if !h.counts.at.IsZero() && now.Sub(h.counts.at) < h.o.StatsTTL {
		return h.counts.held, h.counts.at, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), statsTimeout)
	defer cancel()
	s, err := h.o.Registry.Stats(ctx)
	if err == nil {
		h.counts.held, h.counts.at = s, now.UTC().Truncate(time.Second)
	}
	return s, h.counts.at, err
}
