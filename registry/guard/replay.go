package guard

import (
	"context"
	"errors"
	"time"

	"github.com/sony/gobreaker/v2"

	"permalink-milter/registry"
)

// The probe is for a reservation that does not exist.
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

// catchUp replays the journal. If the journal is empty and the breaker is half
// open, it looks a token up, to see whether the registry is back.
func (g *Guard) catchUp() {
	state := g.breaker.State()
	if state == gobreaker.StateOpen {
		return
	}
	if !g.journal.Empty() {
		g.replay()
		return
	}
	if state == gobreaker.StateHalfOpen {
		through(g.ctx, g, func(ctx context.Context) (registry.Reservation, error) {
			return g.inner.Lookup(ctx, probeList, probeToken)
		})
	}
}

// replay makes the journalled reservations in order, until the journal is empty
// or the registry fails. It makes one call at a time, and at most
// Options.ReplayRate per second, so that live mail comes first.
func (g *Guard) replay() {
	pause := time.NewTicker(time.Second / time.Duration(g.o.ReplayRate))
	defer pause.Stop()
	for n := 0; ; n++ {
		data, ok, err := g.journal.First()
		if err != nil {
			g.journalFailed(err)
			return
		}
		if !ok {
			g.o.Log.Info("the journal is replayed", "reservations", n)
			return
		}
		if !g.reserveJournalled(data) {
			return
		}
		if err := g.journal.Drop(); err != nil {
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

// reserveJournalled makes one journalled reservation. It returns true once the
// reservation is made or its conflict is kept. To make it twice, after a
// crash, changes nothing.
func (g *Guard) reserveJournalled(data []byte) bool {
	r, err := decodeRecord(data)
	if err != nil {
		g.o.Log.Error("a journalled reservation is lost: it cannot be read", "error", err)
		return true
	}
	res, err := through(g.ctx, g, func(ctx context.Context) (registry.Result, error) { return g.inner.Reserve(ctx, r.Request) })
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

// keep completes a conflict with the holder of the stamped token and writes it
// to the conflicts file. It returns false if that must be tried again.
func (g *Guard) keep(c Conflict) bool {
	holder, err := through(g.ctx, g, func(ctx context.Context) (registry.Reservation, error) { return g.inner.Lookup(ctx, c.List, c.Stamped) })
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

// attrs returns the known fields of a conflict for the log.
func (c Conflict) attrs() (attrs []any) {
	for _, a := range [][2]string{{"list", c.List}, {"stamped", c.Stamped}, {"assigned", c.Assigned}, {"identity", c.Identity},
		{"holder", c.Holder}, {"error", c.Error}} {
		if a[1] != "" {
			attrs = append(attrs, a[0], a[1])
		}
	}
	return attrs
}
