package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"permalink-milter/registry"
)

// The bounds of a listing. For the store's owner, only lineTimeout holds.
const (
	maxListing  = 1_000_000        // lines
	listTimeout = 10 * time.Minute // for all of it
	lineTimeout = 30 * time.Second // for the client to take some lines
	someLines   = 256
)

// A listing is what a request for a list of reservations asks for.
type listing struct {
	list, state string // "" for all
	limit       int
}

func readListing(query url.Values) (l listing, err error) {
	l = listing{query.Get("list"), query.Get("state"), maxListing}
	if text := query.Get("limit"); text != "" {
		l.limit, err = strconv.Atoi(text)
		if err != nil || l.limit < 1 || l.limit > maxListing {
			return l, invalid("limit %.20q: write a number from 1 to %d", text, maxListing)
		}
	}
	if l.state != "" && l.state != registry.Reserved.String() && l.state != registry.Archived.String() {
		return l, invalid("state %.20q: write reserved or archived", l.state)
	}
	return l, nil
}

// list answers GET /api/v1/reservations with a line of JSON for each
// reservation.
func (x *exchange) list() error {
	asked, err := readListing(x.r.URL.Query())
	ctx, cancel := context.WithTimeout(x.r.Context(), listTimeout)
	defer cancel()
	if x.o.Store != nil {
		asked.limit, ctx = math.MaxInt, x.r.Context()
	}
	if err == nil {
		err = x.allow(asked.list)
	}
	if err != nil {
		return err
	}
	leave, err := x.answerWith(asked.limit)
	if err != nil {
		return err
	}
	defer leave()
	s := &lines{exchange: x, asked: asked}
	for found, err := range x.o.Registry.List(ctx, asked.list) {
		var more bool
		switch {
		case errors.Is(err, registry.ErrCorrupt):
			more = s.passOver(found, err)
		case err != nil:
			return s.broken(err)
		default:
			more = s.add(found)
		}
		if !more {
			break
		}
	}
	if s.corrupt > 0 {
		s.o.Log.Warn("a listing passed over entries that cannot be read", "entries", s.corrupt, "first", s.first)
	}
	s.end()
	return nil
}

// lines writes a listing.
type lines struct {
	*exchange
	asked listing
	seen  int
	sum   listEnd
	json  *json.Encoder // nil before the first line

	corrupt int   // entries
	first   error // of the first one
}

func (s *lines) write(line any) error {
	if s.json == nil {
		s.Header().Set("Content-Type", "application/jsonl")
		s.json = json.NewEncoder(s)
	}
	return s.json.Encode(line)
}

// pace gives the client lineTimeout for each someLines, however many there are.
func (s *lines) pace() {
	if s.seen%someLines == 0 {
		_ = http.NewResponseController(s).SetWriteDeadline(time.Now().Add(lineTimeout)) // a test's writer has no deadlines
	}
	s.seen++
}

// add writes a line for what was asked for, and reports whether more is wanted.
func (s *lines) add(r registry.Reservation) bool {
	s.pace()
	if s.asked.state != "" && r.State.String() != s.asked.state {
		return true
	}
	if s.sum.Count == s.asked.limit {
		s.sum.More = true
		return false
	}
	s.sum.Count++
	return s.write(s.reservation(r)) == nil
}

// passOver writes a line for an entry that cannot be read, and reports whether
// the client is still there. Only the store's owner is told why it is so: that
// may name files and hosts.
func (s *lines) passOver(r registry.Reservation, err error) bool {
	s.pace()
	if s.corrupt++; s.corrupt == 1 {
		s.first = err
	}
	line := unreadableLine{r.List, r.Hash, corruptLine{registry.ErrCorrupt.Error()}}
	if s.o.Store != nil {
		line.Corrupt = err.Error()
	}
	return s.write(line) == nil
}

func (s *lines) end() { _ = s.write(lastLine{End: &s.sum}) }

// broken reports an error: as the answer, or as the last line of one that has
// begun.
func (s *lines) broken(err error) error {
	if s.json == nil {
		return err
	}
	s.o.Log.Warn("listing broken off", "lines", s.sum.Count, "error", err)
	p := newProblem(err)
	_ = s.write(lastLine{Problem: &p})
	return nil
}
