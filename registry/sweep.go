package registry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// sweepWorkers is how many entries a sweep changes at once, since a store that
// syncs to disk commits those together.
const sweepWorkers = 64

// A Sweep says which reservations to remove from a store. What is archived is
// never removed. Nor is a reservation below a later token that stays, because
// readers may know that token as its successor. A token that is removed is free:
// if its message is seen again, it is reserved anew.
type Sweep struct {
	Of      func(list string) bool // the lists to look at; nil: all
	Expired time.Time              // removes what had expired by then
	Since   time.Time              // removes what was reserved before, expired or not; zero: nothing
	Rate    int                    // entries read a second, at most; one that changes counts as ten; 0: no bound
	DryRun  bool                   // changes nothing
	Removed func(Reservation)      // called with each that is removed, one at a time; may be nil
}

// Swept is what a sweep found.
type Swept struct {
	Seen       int // reservations
	Removed    int
	Unreadable int // entries, which stay
}

// takes reports whether the sweep removes a slot if no later one stays.
func (s Sweep) takes(slot Slot) bool {
	return !slot.held(s.Expired) || slot.State == Reserved && !s.Since.IsZero() && slot.Since < s.Since.Unix()
}

// Run reads the whole store once and removes what the sweep takes, each entry
// atomically: a reservation that is confirmed or renewed meanwhile stays. Run
// may stop at any error; to run it again goes on. The rate bounds the work, so
// that mail, whose reservations share the store, need not wait.
func (s Sweep) Run(ctx context.Context, store Store) (swept Swept, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &sweeping{Sweep: s, store: store, stop: stop, found: make(chan Record)}
	var workers sync.WaitGroup
	for range sweepWorkers {
		workers.Go(func() { r.work(ctx) })
	}
	err = r.read(ctx)
	close(r.found)
	workers.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		err = fmt.Errorf("sweep: %w", err)
	}
	return r.swept, err
}

// A sweeping is a sweep that runs.
type sweeping struct {
	Sweep
	store Store
	stop  context.CancelCauseFunc
	found chan Record // entries to change
	spent int         // of the rate, since the last pause
	mu    sync.Mutex
	swept Swept
}

// read sends the entries to change to the workers.
func (r *sweeping) read(ctx context.Context) error {
	for rec, err := range r.store.Scan(ctx, "") {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrCorrupt):
			r.count(Swept{Unreadable: 1})
			continue
		case err != nil:
			return err
		case r.Of != nil && !r.Of(rec.List):
			continue
		}
		if err := r.pass(ctx, rec); err != nil {
			return err
		}
	}
	return nil
}

// pass looks at an entry and gives it to a worker if it has to change.
func (r *sweeping) pass(ctx context.Context, rec Record) error {
	r.count(Swept{Seen: len(rec.Reservations())})
	changes := len(rec.Entry.drop(r.takes).Slots) < len(rec.Entry.Slots)
	switch {
	case !changes:
		return r.pace(ctx, 1)
	case r.DryRun:
		return r.change(ctx, rec)
	}
	select {
	case r.found <- rec:
		return r.pace(ctx, 10)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// paceStep is how much is done between two pauses, as Rate counts it.
const paceStep = 100

// pace pauses as the rate demands.
func (r *sweeping) pace(ctx context.Context, cost int) error {
	r.spent += cost
	if r.Rate <= 0 || r.spent < paceStep {
		return nil
	}
	pause := time.NewTimer(time.Duration(r.spent) * time.Second / time.Duration(r.Rate))
	defer pause.Stop()
	r.spent = 0
	select {
	case <-pause.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *sweeping) count(n Swept) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.swept.Seen += n.Seen
	r.swept.Removed += n.Removed
	r.swept.Unreadable += n.Unreadable
}

// work changes entries until there are no more. After an error it stops the
// sweep and drains the rest.
func (r *sweeping) work(ctx context.Context) {
	for rec := range r.found {
		if err := r.change(ctx, rec); errors.Is(err, ErrCorrupt) {
			r.count(Swept{Unreadable: 1})
		} else if err != nil {
			r.stop(err)
		}
	}
}

func (r *sweeping) change(ctx context.Context, rec Record) error {
	before := rec.Entry
	if !r.DryRun {
		before = Entry{}
		err := r.store.Update(ctx, rec.Key, func(e Entry) (Entry, bool) {
			before = e
			next := e.drop(r.takes)
			return next, len(next.Slots) < len(e.Slots)
		})
		if err != nil {
			return err
		}
	}
	kept := len(before.drop(r.takes).Slots)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, reservation := range (Record{rec.Key, before}).Reservations() {
		if reservation.Ordinal <= kept {
			continue
		}
		r.swept.Removed++
		if r.Removed != nil {
			r.Removed(reservation)
		}
	}
	return nil
}
