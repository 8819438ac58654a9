package history

import (
	"slices"

	"github.com/anishathalye/porcupine"

	"permalink-milter/hashheader"
)

// replayedAgain adds a second effect of the journalled reservations of a message
// for each of its releases. A host that stops after it has made a reservation,
// and before it has noted that, makes it again when it is back. That shows only
// if the message was released in between.
func replayedAgain(calls []porcupine.Operation) []porcupine.Operation {
	first := make(map[hashheader.Identity]porcupine.Operation) // journalled of each message
	for _, c := range calls {
		id := c.Input.(call).identity
		if before, there := first[id]; isJournalled(c) && (!there || c.Call < before.Call) {
			first[id] = c
		}
	}
	out := slices.Clone(calls)
	for _, c := range calls {
		in := c.Input.(call)
		if again, there := first[in.identity]; there && in.verb == "release" && again.Call < c.Return {
			again.ClientId = len(out)
			out = append(out, again)
		}
	}
	return out
}

// isJournalled reports whether a reservation was answered by a journal that is
// empty by now.
func isJournalled(c porcupine.Operation) bool {
	return c.Input.(call).verb == "reserve" && c.Output.(answer).unknown && c.Return < pending
}
