package registry

import (
	"context"
	"time"
)

// Offer returns what Reserve would answer to a request, where held are the
// reservations of its hash on its list by ordinal, as LookupHash returns them.
// It reserves nothing: the next Reserve may be another message's.
func Offer(held []Reservation, r Request) (Result, error) {
	k, err := NewKey(r.List, r.Hash)
	if err != nil {
		return Result{}, err
	}
	var e Entry
	for _, h := range held {
		for len(e.Slots) < h.Ordinal {
			e.Slots = append(e.Slots, Slot{})
		}
		e.Slots[h.Ordinal-1] = h.slot()
	}
	next, ordinal, outcome, _ := e.reserve(r, time.Now(), 0)
	if ordinal == 0 {
		return Result{}, k.full()
	}
	return Result{k.reservation(ordinal, next.Slots[ordinal-1]), outcome}, nil
}

// Peek returns what a registry's Reserve would answer, and reserves nothing.
func Peek(ctx context.Context, g Registry, r Request) (Result, error) {
	held, err := g.LookupHash(ctx, r.List, r.Hash)
	if err != nil {
		return Result{}, err
	}
	return Offer(held, r)
}
