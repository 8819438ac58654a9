package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

const methodReservation = "reservation"

// A reservationCheck looks messages up in a registry. It goes by the milter's
// own decision of list, hash and identity.
type reservationCheck struct {
	policy   *stamp.Policy
	registry registry.Registry
}

// anyArchive stands for the archive where only the reservation matters.
const anyArchive = "https://permalink.invalid/{token}"

// newReservationCheck opens the registry. It is not made where it is missing.
func newReservationCheck(flags registryFlags, list string, c *config.Config) (*reservationCheck, error) {
	if len(c.Archives) == 0 {
		c.Archives = []config.Archive{archiveFlags{list: list}.archive(anyArchive)}
	}
	policy, err := policyOf(c)
	if err != nil {
		return nil, err
	}
	reg, err := flags.open(c, false)
	return &reservationCheck{policy, reg}, err
}

// identifies tells if a field tells the list or the identity of a message.
func identifies(name []byte) bool {
	lower := strings.ToLower(string(name))
	return slices.Contains(hashheader.IdentityFields, lower) || lower == "list-id" || lower == "list-post"
}

// check tells for each list of a message if its permalink is reserved for it.
func (r *reservationCheck) check(ctx context.Context, h hashheader.Header) (checks []hashheader.Check) {
	if messageID(h) == "" {
		return []hashheader.Check{{Method: methodReservation, Result: hashheader.None, Reason: "no Message-ID"}}
	}
	lookup := func(req registry.Request) (registry.Result, error) {
		checks = append(checks, r.look(ctx, req))
		return registry.Result{Reservation: registry.Reservation{List: req.List, Hash: req.Hash, Ordinal: 1}}, nil
	}
	stamp.Decide(&stamp.Message{Header: h}, r.policy, lookup)
	if checks == nil {
		return []hashheader.Check{{Method: methodReservation, Result: hashheader.None, Reason: "of no list of the archives"}}
	}
	return checks
}

// look compares who holds a hash with who should.
func (r *reservationCheck) look(ctx context.Context, req registry.Request) hashheader.Check {
	c := hashheader.Check{Method: methodReservation, Value: req.List + " " + req.Hash}
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	held, err := r.registry.LookupHash(ctx, req.List, req.Hash)
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
