package httpapi

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"net/http"

	"permalink-milter/registry"
)

// control lists what the socket of the store's owner serves beside the API; see
// Options.Store.
var control = []route{
	{"GET /api/v1/records", ScopeRead, 0, (*exchange).records},
	{"POST /api/v1/records", ScopeReserve, 0, (*exchange).restore},
}

// restored is the answer to POST /api/v1/records.
type restored struct {
	Changed bool `json:"changed"`
}

// records answers GET /api/v1/records with a line for each reservation, expired
// ones too. Those of one hash come one after another.
func (x *exchange) records() error {
	s := &lines{exchange: x, asked: listing{limit: math.MaxInt}}
	for record, err := range x.o.Store.Scan(x.r.Context(), "") {
		if err != nil {
			return s.broken(err)
		}
		for _, r := range record.Reservations() {
			if !s.add(r) {
				return nil // the client is gone
			}
		}
	}
	s.end()
	return nil
}

// restore answers POST /api/v1/records: registry.Restore of one hash.
func (x *exchange) restore() error {
	var body reservations
	if err := x.readJSONOf(maxAnswer, &body); err != nil {
		return err
	}
	back, err := body.all()
	if err != nil {
		return invalid("%v", err)
	}
	ctx, cancel := x.budget()
	defer cancel()
	changed, err := registry.Restore(ctx, x.o.Store, back)
	if err != nil {
		return err
	}
	writeJSON(x, "application/json", http.StatusOK, restored{changed})
	return nil
}

// confirmedLevel keeps an import of many messages out of the log.
func (x *exchange) confirmedLevel() slog.Level {
	if x.o.Store != nil {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// Records yields the reservations of each hash, expired ones too. The server
// must be one with Options.Store.
func (c *Client) Records(ctx context.Context) iter.Seq2[[]registry.Reservation, error] {
	return func(yield func([]registry.Reservation, error) bool) {
		var held []registry.Reservation
		for r, err := range c.lines(ctx, "/records") {
			if err != nil {
				yield(nil, fmt.Errorf("read all records: %w", err))
				return
			}
			if len(held) > 0 && (held[0].List != r.List || held[0].Hash != r.Hash) {
				if !yield(held, nil) {
					return
				}
				held = nil
			}
			held = append(held, r)
		}
		if len(held) > 0 {
			yield(held, nil)
		}
	}
}

// Restore is registry.Restore on a server with Options.Store.
func (c *Client) Restore(ctx context.Context, back []registry.Reservation) (changed bool, err error) {
	var body reservations
	for _, r := range back {
		body.Reservations = append(body.Reservations, r.JSON())
	}
	var answer restored
	err = c.call(ctx, "POST", "/records", body, &answer)
	return answer.Changed, err
}
