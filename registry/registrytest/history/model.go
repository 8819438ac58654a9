package history

import (
	"cmp"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A Violation is a part of a history that no registry could answer one call at
// a time.
type Violation struct {
	// Calls are those of one hash, up to the answer that cannot be, each with the
	// count of events at its begin and end.
	Calls []string
	model porcupine.Model
	info  porcupine.LinearizationInfo
}

// Picture writes an HTML page that draws the calls.
func (v *Violation) Picture(path string) error {
	return porcupine.VisualizePath(v.model, v.info, path)
}

// String returns the last calls, a line each.
func (v *Violation) String() string {
	const most = 30
	if left := len(v.Calls) - most; left > 0 {
		return fmt.Sprintf("%d calls, then\n%s", left, strings.Join(v.Calls[left:], "\n"))
	}
	return strings.Join(v.Calls, "\n")
}

// Check returns the smallest violation that it finds, nil if the history is
// linearizable, but for what may be lost while it was Losing. TTL is that of the
// registries; where something may be lost it must be 0. It returns an error if
// patience is over before it knows.
func (h *History) Check(ttl, patience time.Duration) (*Violation, error) {
	h.mu.Lock()
	calls, losses := slices.Clone(h.calls), slices.Clone(h.losses)
	h.mu.Unlock()
	promise := strict(ttl)
	if len(losses) > 0 && ttl != 0 {
		return nil, errors.New("a history that loses changes has no time to live")
	}
	if len(losses) > 0 {
		promise = lossy(losses)
	}
	for _, part := range byKey(calls) {
		m, operations := promise(part)
		switch porcupine.CheckOperationsTimeout(m, operations, patience) {
		case porcupine.Ok:
		case porcupine.Unknown:
			return nil, fmt.Errorf("the check of %d calls did not end in %v", len(part), patience)
		default:
			return violation(promise, part, patience), nil
		}
	}
	return nil, nil
}

// A promise makes of the calls of one key the model that they must follow, and
// the operations to check by it.
type promise func(calls []porcupine.Operation) (porcupine.Model, []porcupine.Operation)

// strict is the promise of a registry that loses nothing.
func strict(ttl time.Duration) promise {
	return func(calls []porcupine.Operation) (porcupine.Model, []porcupine.Operation) {
		return model(ttl), replayedAgain(prune(calls, ttl))
	}
}

// violation shortens a history to its shortest beginning that is one.
func violation(p promise, calls []porcupine.Operation, patience time.Duration) *Violation {
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	n := sort.Search(len(calls), func(n int) bool {
		m, operations := p(until(calls, calls[n].Return))
		return porcupine.CheckOperationsTimeout(m, operations, patience) == porcupine.Illegal
	})
	if n < len(calls) {
		calls = until(calls, calls[n].Return)
	}
	m, operations := p(calls)
	_, info := porcupine.CheckOperationsVerbose(m, operations, patience)
	v := &Violation{model: m, info: info}
	for _, o := range operations {
		if _, ok := o.Input.(mark); ok {
			calls = append(calls, o)
		}
	}
	slices.SortStableFunc(calls, func(a, b porcupine.Operation) int { return cmp.Compare(a.Return, b.Return) })
	for _, c := range calls {
		end := "…"
		if c.Return < pending {
			end = strconv.FormatInt(c.Return, 10)
		}
		v.Calls = append(v.Calls, fmt.Sprintf("%d-%s %s", c.Call, end, describe(c.Input, c.Output)))
	}
	return v
}

// until returns the history as it was at a time: what had not been answered by
// then has no answer.
func until(calls []porcupine.Operation, at int64) []porcupine.Operation {
	var out []porcupine.Operation
	for _, c := range calls {
		if c.Call > at {
			continue
		}
		if c.Return > at {
			c.Return, c.Output = never, answer{unknown: true}
		}
		out = append(out, c)
	}
	return out
}

// byKey divides a history by key. A look-up without an answer says nothing and
// is left out.
func byKey(calls []porcupine.Operation) [][]porcupine.Operation {
	parts := make(map[registry.Key][]porcupine.Operation)
	for _, c := range calls {
		in := c.Input.(call)
		if in.verb != "look up" || !c.Output.(answer).unknown {
			parts[in.key] = append(parts[in.key], c)
		}
	}
	var out [][]porcupine.Operation
	for _, part := range parts {
		out = append(out, part)
	}
	return out
}

// model is a registry of one entry, by the rules of package registry. Its state
// is the stored form of the entry, so that states can be compared.
func model(ttl time.Duration) porcupine.Model {
	a := newAnswers(ttl)
	return porcupine.Model{
		Init: func() any { return "" },
		Step: func(state, input, output any) (bool, any) {
			r := a.ask(input.(call), state.(string))
			return r.want.allows(input.(call), output.(answer)), r.stored
		},
		DescribeOperation: describe,
		DescribeState:     describeState,
	}
}

// allows reports whether a registry that should give the answer want may give
// got. A store that has lost an answer asks again, so that a release which took
// effect can find the token gone, or held by another message by then, and a
// reservation which took effect can find that it was confirmed since.
func (want answer) allows(c call, got answer) bool {
	if got.unknown || got == want {
		return true
	}
	switch c.verb {
	case "release":
		return want.refused == nil && (got.refused == registry.ErrNotFound || got.refused == registry.ErrOccupied)
	case "reserve":
		later := want
		later.state = registry.Archived
		return want.refused == nil && got == later
	}
	return false
}

// answers keeps what was asked, since a check asks the same many times.
type answers struct {
	ttl   time.Duration
	known map[question]result
}

type (
	question struct {
		call   call
		stored string
	}
	result struct {
		want   answer
		stored string
	}
)

func newAnswers(ttl time.Duration) answers { return answers{ttl, make(map[question]result)} }

// ask returns the answer to a call and what it makes of an entry.
func (a answers) ask(c call, stored string) result {
	r, ok := a.known[question{c, stored}]
	if !ok {
		s := &one{stored}
		r.want = s.ask(c, a.ttl)
		r.stored = s.stored
		a.known[question{c, stored}] = r
	}
	return r
}

// one is a store of one entry.
type one struct{ stored string }

func (s *one) ask(c call, ttl time.Duration) answer {
	reg := registry.New(s, registry.Options{TTL: ttl, Now: func() time.Time { return c.at }})
	ctx, token := context.Background(), hashheader.Token(c.key.Hash, max(c.ordinal, 1))
	switch c.verb {
	case "reserve":
		r, err := reg.Reserve(ctx, registry.Request{List: c.key.List, Hash: c.key.Hash, Identity: c.identity})
		return answered(r.Reservation, err)
	case "look up":
		return answered(reg.Lookup(ctx, c.key.List, token))
	case "confirm":
		return answered(reg.Confirm(ctx, registry.Confirmation{List: c.key.List, Token: token, Identity: c.identity, URL: c.url}))
	case "release":
		return answered(registry.Reservation{}, reg.Release(ctx, c.key.List, token, c.identity))
	}
	panic("unknown verb " + c.verb)
}

// Get implements registry.Store.
func (s *one) Get(context.Context, registry.Key) (registry.Entry, error) {
	if s.stored == "" {
		return registry.Entry{}, nil
	}
	return registry.DecodeEntry([]byte(s.stored))
}

// Update implements registry.Store.
func (s *one) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	e, err := s.Get(ctx, k)
	if err != nil {
		return err
	}
	next, changed := change(e)
	switch {
	case !changed:
	case len(next.Slots) == 0:
		s.stored = ""
	default:
		s.stored = string(next.AppendBinary(nil))
	}
	return nil
}

// Scan implements registry.Store.
func (s *one) Scan(context.Context, string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		yield(registry.Record{}, errors.ErrUnsupported)
	}
}

// Close implements registry.Store.
func (s *one) Close() error { return nil }

func describe(input, output any) string {
	if m, ok := input.(mark); ok && m.begin {
		return "changes may be lost from here"
	} else if ok {
		return "nothing is lost from here"
	}
	c, a := input.(call), output.(answer)
	var b strings.Builder
	b.WriteString(c.verb)
	if c.ordinal > 0 {
		fmt.Fprintf(&b, " ordinal %d", c.ordinal)
	}
	if c.verb != "look up" {
		fmt.Fprintf(&b, " for %s", short(c.identity))
	}
	switch {
	case a.unknown:
		b.WriteString(": no answer")
	case a.refused != nil:
		fmt.Fprintf(&b, ": %v", a.refused)
	case c.verb == "release":
		b.WriteString(": done")
	default:
		fmt.Fprintf(&b, ": ordinal %d is of %s, %s", a.ordinal, short(a.identity), a.state)
	}
	return b.String()
}

func describeState(state any) string {
	s := one{state.(string)}
	e, err := s.Get(context.Background(), registry.Key{})
	if err != nil {
		return err.Error()
	}
	var out []string
	for i, slot := range e.Slots {
		out = append(out, fmt.Sprintf("%d %s %s", i+1, slot.State, short(slot.Identity)))
	}
	return strings.Join(out, ", ")
}

// short names a message.
func short(id hashheader.Identity) string {
	return base32.StdEncoding.EncodeToString(id[:])[:4]
}
