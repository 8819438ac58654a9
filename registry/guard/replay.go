package guard

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"

	"permalink-milter/registry"
)

// The probe is a reservation that nobody makes.
const (
	probeList  = "probe@permalink-milter.invalid" // RFC 6761, section 6.4
	probeToken = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// work replays the journal and tries a registry that failed, until Close.
func (g *Guard) work() {
	defer close(g.done)
	tick := time.NewTicker(g.o.RetryEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			g.catchUp()
		case <-g.ctx.Done():
			return
		}
	}
}

// catchUp replays what is journalled. Where there is nothing, and the breaker
// waits to be closed, it reads a token, to see if the registry is back.
func (g *Guard) catchUp() {
	state := g.breaker.State()
	if state == gobreaker.StateOpen {
		return
	}
	if !g.journal.empty() {
		g.replay()
		return
	}
	if state == gobreaker.StateHalfOpen {
		g.through(g.ctx, func(ctx context.Context) error {
			_, err := g.inner.Lookup(ctx, probeList, probeToken)
			return err
		})
	}
}

// replay reserves, in order, what the journal holds, until it is empty or the
// registry fails. One call is under way at a time, and not more of them a
// second than Options.ReplayRate, so that live mail comes first.
func (g *Guard) replay() {
	pause := time.NewTicker(time.Second / time.Duration(g.o.ReplayRate))
	defer pause.Stop()
	for n := 0; ; n++ {
		r, ok, err := g.journal.first()
		if err != nil {
			g.journalFailed(err)
			return
		}
		if !ok {
			g.o.Log.Info("the journal is replayed", "reservations", n)
			return
		}
		if !g.reserveJournalled(r) {
			return
		}
		if err := g.journal.drop(); err != nil {
			g.journalFailed(err)
			return
		}
		select {
		case <-pause.C:
		case <-g.ctx.Done():
			return
		}
	}
}

// reserveJournalled makes one reservation. It returns true once that is made
// or its conflict is kept. Made twice, after a crash, it changes nothing.
func (g *Guard) reserveJournalled(r record) bool {
	var res registry.Result
	err := g.through(g.ctx, func(ctx context.Context) (err error) {
		res, err = g.inner.Reserve(ctx, r.Request)
		return err
	})
	if err == nil && res.Ordinal == 1 {
		g.o.Observe.Replayed(false)
		return true
	}
	if isFailure(err) || g.ctx.Err() != nil {
		return false
	}
	c := Conflict{List: r.List, Stamped: r.Hash, Identity: r.Identity.String(), Journalled: r.at, Replayed: time.Now().UTC().Truncate(time.Second)}
	if err != nil {
		c.Error = err.Error()
	} else {
		c.Assigned = res.Token()
	}
	return g.keep(c)
}

// keep completes a conflict with the message that holds the stamped token,
// and writes it down. It returns false where that has to be tried again.
func (g *Guard) keep(c Conflict) bool {
	var holder registry.Reservation
	err := g.through(g.ctx, func(ctx context.Context) (err error) {
		holder, err = g.inner.Lookup(ctx, c.List, c.Stamped)
		return err
	})
	if isFailure(err) || g.ctx.Err() != nil {
		return false
	}
	if err == nil {
		c.Holder = holder.Identity.String()
	}
	added, err := g.conflicts.add(c)
	if err != nil && !errors.Is(err, errConflictsFull) {
		g.journalFailed(err)
		return false
	}
	if added || err != nil {
		g.o.Observe.Replayed(true)
		attrs := c.attrs()
		if err != nil {
			attrs = append(attrs, "not_kept", err)
		}
		g.o.Log.Error("a permalink stamped while the registry did not answer is another message's", attrs...)
	}
	return true
}

// attrs are the conflict for the log, without what is not known.
func (c Conflict) attrs() (attrs []any) {
	for _, a := range [][2]string{{"list", c.List}, {"stamped", c.Stamped}, {"assigned", c.Assigned}, {"identity", c.Identity},
		{"holder", c.Holder}, {"error", c.Error}} {
		if a[1] != "" {
			attrs = append(attrs, a[0], a[1])
		}
	}
	return attrs
}
