package history

import (
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// A loss is a time in which changes may be lost: from the first event to the
// last.
type loss struct{ from, to int64 }

// Losing notes that from now on, until over is called, the servers may lose
// what they acknowledge, and may show what was before. What was acknowledged
// before must be safe by the time that anything can be lost.
func (h *History) Losing() (over func()) {
	from := h.events.Add(1)
	return func() {
		to := h.events.Add(1)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.losses = append(h.losses, loss{from, to})
	}
}

// A mark is the begin or the end of a loss among the operations of a key.
type mark struct{ begin bool }

// lossy is the promise of a registry that loses changes at some times, and does
// nothing else that is wrong. While it is losing, several servers may hold what
// different calls have made of an entry, so the state is the set of entries that
// some of the calls could have made; a call is answered by one of them. When the
// loss is over, one of them remains, and every answer from then on leaves out
// those that would have given another one.
//
// Calls without an answer may have taken effect at any time. They are no
// operations, which would be slow, but part of every step.
func lossy(losses []loss) promise {
	return func(calls []porcupine.Operation) (porcupine.Model, []porcupine.Operation) {
		s := steps{answers: newAnswers(0)}
		var operations []porcupine.Operation
		for _, c := range calls {
			in := c.Input.(call)
			in.at = time.Unix(0, 0) // no clock counts where nothing expires, and entries that differ in it are one
			switch {
			case !c.Output.(answer).unknown:
				c.Input = in
				operations = append(operations, c)
			case !slices.ContainsFunc(s.unanswered, func(u call) bool { return u.effect() == in.effect() }):
				s.unanswered = append(s.unanswered, in)
			}
		}
		for _, l := range losses {
			operations = append(operations,
				porcupine.Operation{Input: mark{true}, Call: l.from, Return: l.from},
				porcupine.Operation{Input: mark{false}, Call: l.to, Return: l.to})
		}
		for i := range operations {
			operations[i].ClientId = i
		}
		return s.model(), operations
	}
}

// An entries is the state of lossy: the stored forms that the entry may have,
// in order.
type entries struct {
	losing bool
	stored []string
}

func (e entries) equal(other any) bool {
	o := other.(entries)
	return e.losing == o.losing && slices.Equal(e.stored, o.stored)
}

// steps is the model of lossy for one key.
type steps struct {
	answers
	unanswered []call
}

func (s steps) model() porcupine.Model {
	return porcupine.Model{
		Init:              func() any { return entries{stored: []string{""}} },
		Step:              s.step,
		Equal:             func(a, b any) bool { return a.(entries).equal(b) },
		DescribeOperation: describe,
		DescribeState: func(state any) string {
			var out []string
			for _, stored := range state.(entries).stored {
				out = append(out, "["+describeState(stored)+"]")
			}
			return strings.Join(out, " or ")
		},
	}
}

func (s steps) step(state, input, output any) (bool, any) {
	e := state.(entries)
	if m, ok := input.(mark); ok {
		return true, entries{m.begin, e.stored}
	}
	var next []string
	for _, stored := range s.reachable(e.stored) {
		r := s.ask(input.(call), stored)
		if r.want.allows(input.(call), output.(answer)) {
			next = append(next, r.stored)
		}
	}
	if len(next) == 0 {
		return false, nil
	}
	if e.losing {
		next = append(next, e.stored...)
	}
	slices.Sort(next)
	return true, entries{e.losing, slices.Compact(next)}
}

// reachable returns what calls without an answer can have made of entries.
func (s steps) reachable(stored []string) []string {
	all := slices.Clone(stored)
	for i := 0; i < len(all); i++ {
		for _, u := range s.unanswered {
			if r := s.ask(u, all[i]); !slices.Contains(all, r.stored) {
				all = append(all, r.stored)
			}
		}
	}
	return all
}
