package history

import (
	"cmp"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"

	"permalink-milter/hashheader"
)

// An effect is what a reservation or a confirmation without an answer may have
// done.
type effect struct {
	verb     string
	identity hashheader.Identity
	ordinal  int
	url      string
}

// prune leaves out calls without an answer that make no difference, since each
// of them doubles the work of the check. A reservation is for ever where its
// message is never released and does not expire, and so is a confirmation. So
// one without an answer changes nothing if another one has done the same before
// it, and of several, one stands for all: it takes effect after the first of
// them was asked and before the first of them ends.
func prune(calls []porcupine.Operation, ttl time.Duration) []porcupine.Operation {
	if ttl != 0 {
		return calls
	}
	released := make(map[hashheader.Identity]bool)
	done := make(map[effect]int64) // when it was certainly done
	for _, c := range calls {
		in, out := c.Input.(call), c.Output.(answer)
		if in.verb == "release" {
			released[in.identity] = true
		}
		if e := in.effect(); !out.unknown && out.refused == nil && (done[e] == 0 || c.Return < done[e]) {
			done[e] = c.Return
		}
	}
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return cmp.Compare(a.Call, b.Call) })
	asked := make(map[effect]int) // the place in out of the one that stands for all
	var out []porcupine.Operation
	for _, c := range calls {
		in := c.Input.(call)
		e := in.effect()
		lasting := in.verb == "confirm" || in.verb == "reserve" && !released[in.identity]
		if !c.Output.(answer).unknown || !lasting {
			out = append(out, c)
			continue
		}
		if at := done[e]; at != 0 && at < c.Call {
			continue
		}
		if first, there := asked[e]; there {
			out[first].Return = min(out[first].Return, c.Return)
			continue
		}
		asked[e] = len(out)
		out = append(out, c)
	}
	return out
}

func (c call) effect() effect { return effect{c.verb, c.identity, c.ordinal, c.url} }
