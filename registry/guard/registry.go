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
	"permalink-milter/registry/guard/journal"
)

// Errors that a caller may test for with errors.Is.
var (
	ErrInUse       = journal.ErrInUse // of New: another process holds the journal
	ErrJournalFull = journal.ErrFull  // of Reserve, beside registry.ErrUnavailable
)

// Reserve implements registry.Registry. If the registry does not answer and
// Options.Stamp is set, Reserve journals the reservation and returns the bare
// hash with the outcome Journalled. If the journal fails too, the error wraps
// both causes, ErrUnavailable among them.
func (g *Guard) Reserve(ctx context.Context, r registry.Request) (registry.Result, error) {
	res, err := live(ctx, g, func(ctx context.Context) (registry.Result, error) { return g.inner.Reserve(ctx, r) })
	if !g.o.Stamp || !isFailure(err) || errors.Is(err, context.Canceled) {
		return res, err
	}
	return g.journalled(ctx, r, err)
}

// lastWrite is the time for the journal when the caller's is spent: the message
// is stamped all the same, and without a reservation another one could get its
// permalink.
const lastWrite = 100 * time.Millisecond

// journalled writes a request to the journal after the registry failed with
// cause.
func (g *Guard) journalled(ctx context.Context, r registry.Request, cause error) (res registry.Result, err error) {
	k, err := registry.NewKey(r.List, r.Hash)
	if err != nil {
		return res, err
	}
	r.List, r.Hash = k.List, k.Hash
	if spent(ctx) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), lastWrite)
		defer cancel()
	}
	err = g.journal.Append(ctx, record{r, time.Now()}.encode())
	if errors.Is(err, ErrJournalFull) {
		err = fmt.Errorf("%w: bring the registry back, or raise registry.journal_max_bytes", err)
	}
	if err != nil {
		g.journalFailed(err)
		return res, fmt.Errorf("%w; and it cannot be journalled: %w", cause, err)
	}
	g.o.Observe.Journalled()
	bare := registry.Reservation{List: r.List, Hash: r.Hash, Ordinal: 1, Identity: r.Identity}
	return registry.Result{Reservation: bare, Outcome: registry.Journalled}, nil
}

// journalFailed counts each failure and logs the first of each seldomEvery.
func (g *Guard) journalFailed(err error) {
	g.o.Observe.JournalFailed()
	if skipped, ok := g.troubles.next(time.Now()); ok {
		g.o.Log.Error("the journal of reservations fails", "dir", g.o.Dir, "error", err, "failures_since_last_logged", skipped)
	}
}

// seldomEvery is the time between two log lines about a lasting failure.
const seldomEvery = time.Minute

// A seldom suppresses a log line that would come with every message.
type seldom struct {
	mu      sync.Mutex
	last    time.Time
	skipped int
}

// next reports whether the line is due, and how many were skipped since the
// last one.
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

// Lookup implements registry.Registry. It does not look into the journal.
func (g *Guard) Lookup(ctx context.Context, list, token string) (registry.Reservation, error) {
	return live(ctx, g, func(ctx context.Context) (registry.Reservation, error) { return g.inner.Lookup(ctx, list, token) })
}

// LookupHash implements registry.Registry. It does not look into the journal.
func (g *Guard) LookupHash(ctx context.Context, list, hash string) ([]registry.Reservation, error) {
	return live(ctx, g, func(ctx context.Context) ([]registry.Reservation, error) { return g.inner.LookupHash(ctx, list, hash) })
}

// Confirm implements registry.Registry.
func (g *Guard) Confirm(ctx context.Context, c registry.Confirmation) (registry.Reservation, error) {
	return live(ctx, g, func(ctx context.Context) (registry.Reservation, error) { return g.inner.Confirm(ctx, c) })
}

// Release implements registry.Registry.
func (g *Guard) Release(ctx context.Context, list, token string, id hashheader.Identity) error {
	_, err := live(ctx, g, func(ctx context.Context) (struct{}, error) { return struct{}{}, g.inner.Release(ctx, list, token, id) })
	return err
}

// List implements registry.Registry. Only ctx bounds it, since it may take long.
func (g *Guard) List(ctx context.Context, list string) iter.Seq2[registry.Reservation, error] {
	return g.inner.List(ctx, list)
}

// Stats implements registry.Registry. Only ctx bounds it, since it may take long.
func (g *Guard) Stats(ctx context.Context) (registry.Stats, error) { return g.inner.Stats(ctx) }
