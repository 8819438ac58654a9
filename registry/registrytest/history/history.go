// Package history records what clients ask a registry and what it answers, and
// checks that the answers are those of one registry that handles one call at a
// time: that the history is linearizable (Herlihy and Wing, 1990). Time is a
// count of calls and answers, so that a simulated clock serves as well.
//
//	h := history.New()
//	reg := h.Record(host, clock) // a registry.Registry for each client
//	... // many clients call their registries while servers fail
//	violation, err := h.Check(0, time.Minute)
//
// A call that ends with registry.ErrUnavailable may take effect at any later
// time or never. One that was journalled takes effect before the journal is
// empty, which the test reports with [History.Drained], and maybe again behind a
// release, since a host that stops during its replay begins anew. While the servers may
// lose what they acknowledged, which the test reports with [History.Losing],
// any answer may be given that follows from some of the calls before it.
package history

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anishathalye/porcupine"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A call is one question to a registry, and the time that the asking host's
// clock showed.
type call struct {
	verb string // reserve, look up, confirm or release
	key  registry.Key
	at   time.Time
	// identity is that of the message, zero for a look-up.
	identity hashheader.Identity
	ordinal  int // unless the verb is reserve
	url      string
}

// An answer is what the registry said.
type answer struct {
	refused  error // one of the package's errors, or nil
	ordinal  int
	identity hashheader.Identity
	state    registry.State
	unknown  bool // the registry did not say
}

const never = math.MaxInt64

// A History is the calls of all clients. Make one with New.
type History struct {
	events atomic.Int64 // calls and answers so far

	mu     sync.Mutex
	calls  []porcupine.Operation
	losses []loss
}

// New returns an empty history.
func New() *History { return new(History) }

// Len returns the number of calls so far.
func (h *History) Len() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.calls)
}

// Record returns a registry for one client that records the calls of Reserve,
// Lookup, Confirm and Release and passes them on. Now is the clock of reg; it
// may only advance while no call is on its way.
func (h *History) Record(reg registry.Registry, now func() time.Time) registry.Registry {
	return &recorder{reg, h, now}
}

type recorder struct {
	registry.Registry
	history *History
	now     func() time.Time
}

func (r *recorder) Reserve(ctx context.Context, q registry.Request) (registry.Result, error) {
	end := r.begin(call{verb: "reserve", key: registry.Key{List: q.List, Hash: q.Hash}, identity: q.Identity})
	res, err := r.Registry.Reserve(ctx, q)
	a := answered(res.Reservation, err)
	a.unknown = a.unknown || res.Outcome == registry.Journalled
	end(a, res.Outcome == registry.Journalled)
	return res, err
}

func (r *recorder) Lookup(ctx context.Context, list, token string) (registry.Reservation, error) {
	end := r.begin(tokenCall("look up", list, token))
	res, err := r.Registry.Lookup(ctx, list, token)
	end(answered(res, err), false)
	return res, err
}

func (r *recorder) Confirm(ctx context.Context, c registry.Confirmation) (registry.Reservation, error) {
	q := tokenCall("confirm", c.List, c.Token)
	q.identity, q.url = c.Identity, c.URL
	end := r.begin(q)
	res, err := r.Registry.Confirm(ctx, c)
	end(answered(res, err), false)
	return res, err
}

func (r *recorder) Release(ctx context.Context, list, token string, id hashheader.Identity) error {
	q := tokenCall("release", list, token)
	q.identity = id
	end := r.begin(q)
	err := r.Registry.Release(ctx, list, token, id)
	end(answered(registry.Reservation{}, err), false)
	return err
}

// tokenCall returns a call about a token, which must be valid.
func tokenCall(verb, list, token string) call {
	hash, ordinal, err := hashheader.ParseToken(token)
	if err != nil {
		panic(err)
	}
	return call{verb: verb, key: registry.Key{List: list, Hash: hash}, ordinal: ordinal}
}

// answered returns what a result says. The error of a client that gave up says
// no more than that of a registry that did.
func answered(r registry.Reservation, err error) answer {
	if err == nil {
		return answer{ordinal: r.Ordinal, identity: r.Identity, state: r.State}
	}
	for _, refusal := range []error{registry.ErrNotFound, registry.ErrOccupied, registry.ErrArchived, registry.ErrFull} {
		if errors.Is(err, refusal) {
			return answer{refused: refusal}
		}
	}
	return answer{unknown: true}
}

// begin counts the call and returns the function that records the answer. Calls
// that were journalled end when the journal is drained; the returns of those
// without an answer come after all others.
func (r *recorder) begin(c call) (end func(a answer, journalled bool)) {
	h := r.history
	c.at = r.now()
	start := h.events.Add(1)
	return func(a answer, journalled bool) {
		stop := h.events.Add(1)
		switch {
		case journalled:
			stop = pending
		case a.unknown:
			stop = never
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		// A client for each call, since one may have several without an answer.
		h.calls = append(h.calls, porcupine.Operation{ClientId: len(h.calls), Input: c, Call: start, Output: a, Return: stop})
	}
}

// pending is the end of a journalled call until Drained.
const pending = never - 1

// Drained notes that the journals are empty: all calls that were journalled so
// far have taken effect.
func (h *History) Drained() {
	now := h.events.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range h.calls {
		if h.calls[i].Return == pending {
			h.calls[i].Return = now
		}
	}
}
