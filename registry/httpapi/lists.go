package httpapi

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
)

// The bounds of a search that names no list. How much of the registry's and
// the processor's time strangers get is bounded by maxWork, whatever these are.
const (
	maxSearched = 10_000 // lists
	maxFound    = 1000   // messages
)

// find looks for the message on its list, or on all that are known. Where it
// is on none of them, it looks again if the lists can be read anew: the message
// may be the first of its list.
func (x *exchange) find(ctx context.Context, q query, v *page.Found) error {
	if q.list != "" {
		return x.findOnAll(ctx, q, known{[]string{q.list}, true}, v)
	}
	began := x.o.Now()
	err := x.findOnAll(ctx, q, x.knownLists(ctx), v)
	if err == nil && len(v.Found) == 0 && x.lists.renew(ctx, began) {
		err = x.findOnAll(ctx, q, x.knownLists(ctx), v)
	}
	return err
}

// findOnAll looks for the message on lists, as far as the time and the bounds
// go. An entry that cannot be read hides no message on another list.
func (x *exchange) findOnAll(ctx context.Context, q query, lists known, v *page.Found) error {
	done, err := x.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	v.Searched = 0
	messages := 0
	var unreadable error
	for n, list := range lists.names {
		if n == maxSearched || messages >= maxFound {
			v.Searched = n
			return nil
		}
		found, err := x.findOn(ctx, q, list)
		if n > 0 && ctx.Err() != nil {
			v.Searched = n
			return nil
		}
		if errors.Is(err, registry.ErrCorrupt) {
			unreadable = err
			continue
		}
		if err != nil {
			return err
		}
		for _, choices := range found {
			messages += choices.Count()
		}
		v.Found = append(v.Found, found...)
	}
	if !lists.all {
		v.Searched = len(lists.names)
	}
	if len(v.Found) == 0 {
		return unreadable
	}
	return nil
}

// known has the names of lists, and whether they are all that there are.
type known struct {
	names []string
	all   bool
}

// knownLists returns the lists that the configuration names without a pattern,
// then the others that the registry holds. They are not shown unless a message
// is found on them: some may be private.
func (x *exchange) knownLists(ctx context.Context) known {
	var names []string
	seen := make(map[string]bool)
	add := func(list string) {
		if !seen[list] {
			seen[list] = true
			names = append(names, list)
		}
	}
	for _, a := range x.policy.Archives {
		for _, name := range append(slices.Clone(a.Lists), a.List) {
			if list, err := hashheader.CheckList(name); err == nil && !strings.ContainsAny(list, `*?`) {
				add(list)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, x.o.Timeout/2) // the rest is for the search
	defer cancel()
	held, _, err := x.lists.get(ctx)
	if err != nil {
		x.o.Log.Debug("lists of the registry not read", "error", err)
	}
	for _, list := range held.names {
		add(list)
	}
	return known{names, held.all && err == nil}
}

// readLists returns the lists that the registry holds, a few more than are
// searched at most. Where the registry cannot be read to its end, as in the
// time of a large one, it returns those that were read.
func (h *Handler) readLists(ctx context.Context) (lists known, err error) {
	held := make(map[string]bool)
	lists.all = true
	for r, err := range h.o.Registry.List(ctx, "") {
		if errors.Is(err, registry.ErrCorrupt) {
			continue
		}
		if err != nil && len(held) == 0 {
			return lists, err
		}
		if lists.all = err == nil && len(held) <= maxSearched; !lists.all {
			break
		}
		held[r.List] = true
	}
	lists.names = slices.Sorted(maps.Keys(held))
	return lists, nil
}

// keepLists keeps the lists so long that reading them takes a twentieth of the
// time at most, however often they are asked for. Those of a small registry are
// read again almost at once.
func keepLists(took time.Duration) time.Duration { return 20 * took }
