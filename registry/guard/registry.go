package guard

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// Reserve implements registry.Registry. Where the registry does not answer
// and Options.Stamp is set, the reservation is journalled, and the result is
// the bare hash with the outcome Journalled. An error then wraps
// ErrUnavailable, and tells why the journal failed, too.
func (g *Guard) Reserve(ctx context.Context, r registry.Request) (res registry.Result, err error) {
	err = g.live(ctx, func(ctx context.Context) (err error) {
		res, err = g.inner.Reserve(ctx, r)
		return err
	})
	if !g.o.Stamp || !isFailure(err) || errors.Is(err, context.Canceled) {
		return res, err
	}
	return g.journalled(ctx, r, err)
}

// journalled writes a request to the journal that the registry did not serve
// because of cause.
func (g *Guard) journalled(ctx context.Context, r registry.Request, cause error) (res registry.Result, err error) {
	if r.List, err = hashheader.CheckList(r.List); err != nil {
		return res, err
	}
	if r.Hash, err = hashheader.CheckHash(r.Hash); err != nil {
		return res, err
	}
	if err := g.journal.append(ctx, record{r, time.Now()}); err != nil {
		g.journalFailed(err)
		return res, fmt.Errorf("%w; and it cannot be journalled: %w", cause, err)
	}
	g.o.Observe.Journalled()
	bare := registry.Reservation{List: r.List, Hash: r.Hash, Ordinal: 1, Identity: r.Identity}
	return registry.Result{Reservation: bare, Outcome: registry.Journalled}, nil
}

// journalFailed counts each failure and logs one a while.
func (g *Guard) journalFailed(err error) {
	g.o.Observe.JournalFailed()
	if skipped, ok := g.troubles.next(time.Now()); ok {
		g.o.Log.Error("the journal of reservations fails", "dir", g.o.Dir, "error", err, "failures_since_last_logged", skipped)
	}
}

// seldomEvery is how often a trouble that lasts is logged.
const seldomEvery = time.Minute

// A seldom thins out a log line that may come with every message.
type seldom struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// next tells if the line is due, and how many were skipped since the last.
func (s *seldom) next(now time.Time) (skipped int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.last) < seldomEvery {
		s.skipped++
		return 0, false
	}
	skipped, s.last, s.skipped = s.skipped, now, 0
	return skipped, true
}

// Lookup implements registry.Registry. It does not see what is journalled.
func (g *Guard) Lookup(ctx context.Context, list, token string) (r registry.Reservation, err error) {
	err = g.live(ctx, func(ctx context.Context) (err error) {
		r, err = g.inner.Lookup(ctx, list, token)
		return err
	})
	return r, err
}

// LookupHash implements registry.Registry. It does not see what is journalled.
func (g *Guard) LookupHash(ctx context.Context, list, hash string) (all []registry.Reservation, err error) {
	err = g.live(ctx, func(ctx context.Context) (err error) {
		all, err = g.inner.LookupHash(ctx, list, hash)
		return err
	})
	return all, err
}

// Confirm implements registry.Registry.
func (g *Guard) Confirm(ctx context.Context, c registry.Confirmation) (r registry.Reservation, err error) {
	err = g.live(ctx, func(ctx context.Context) (err error) {
		r, err = g.inner.Confirm(ctx, c)
		return err
	})
	return r, err
}

// Release implements registry.Registry.
func (g *Guard) Release(ctx context.Context, list, token string, id hashheader.Identity) error {
	return g.live(ctx, func(ctx context.Context) error { return g.inner.Release(ctx, list, token, id) })
}

// List implements registry.Registry. It reads long, so ctx alone bounds it.
func (g *Guard) List(ctx context.Context, list string) iter.Seq2[registry.Reservation, error] {
	return g.inner.List(ctx, list)
}

// Stats implements registry.Registry. It reads long, so ctx alone bounds it.
func (g *Guard) Stats(ctx context.Context) (registry.Stats, error) { return g.inner.Stats(ctx) }
