package examine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

const methodReservation = "reservation"

// A Reservation looks up the reservations of messages. The list, hash and
// identity of a message are those that the milter's own decision asks for.
type Reservation struct {
	Policy   *stamp.Policy
	Registry registry.Registry
	Timeout  time.Duration // of one answer
}

// check reports, for each list of a message, whether its permalink is reserved
// for it.
func (r *Reservation) check(ctx context.Context, m *mailbox.Message) (checks []hashheader.Check) {
	if m.ID() == "" {
		return none("no Message-ID")
	}
	lookup := func(req registry.Request) (registry.Result, error) {
		checks = append(checks, r.look(ctx, req))
		return registry.Result{Reservation: registry.Reservation{List: req.List, Hash: req.Hash, Ordinal: 1}}, nil
	}
	stamp.Decide(&stamp.Message{Header: m.Header}, r.Policy, lookup)
	if checks == nil {
		return none("of no list of the archives")
	}
	return checks
}

func none(reason string) []hashheader.Check {
	return []hashheader.Check{{Method: methodReservation, Result: hashheader.None, Reason: reason}}
}

// look compares the holder of a hash with the message.
func (r *Reservation) look(ctx context.Context, req registry.Request) hashheader.Check {
	c := hashheader.Check{Method: methodReservation, Value: req.List + " " + req.Hash}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout)
	defer cancel()
	held, err := r.Registry.LookupHash(ctx, req.List, req.Hash)
	own := slices.IndexFunc(held, func(r registry.Reservation) bool { return r.Identity == req.Identity })
	switch {
	case errors.Is(err, registry.ErrUnavailable):
		c.Result, c.Reason = hashheader.TempError, err.Error()
	case err != nil:
		c.Result, c.Reason = hashheader.PermError, err.Error()
	case own >= 0:
		c.Result, c.Reason = hashheader.Pass, fmt.Sprintf("%s %s on %s", held[own].State, held[own].Token(), req.List)
	case len(held) > 0 && req.Share:
		c.Result, c.Reason = hashheader.Pass, fmt.Sprintf("%s on %s, shared", held[0].Token(), req.List)
	case len(held) > 0:
		c.Result, c.Reason = hashheader.Fail, fmt.Sprintf("%s on %s is held by another message", req.Hash, req.List)
	default:
		c.Result, c.Reason = hashheader.Fail, fmt.Sprintf("%s is not reserved on %s", req.Hash, req.List)
	}
	return c
}
