package guard

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

const (
	ttl    = time.Hour
	hosts  = 3
	hashes = 2
	people = 5 // identities
)

// A step is one thing that happens, on one host.
type step struct {
	Do                   string
	Host, Hash, Identity int
	Calls                int // that still work when an outage begins
}

var deeds = []string{"reserve", "reserve", "reserve", "share", "confirm", "release", "outage begins", "outage ends", "crash", "replay", "expire"}

var steps = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
	return step{rapid.SampledFrom(deeds).Draw(t, "do"), rapid.IntRange(0, hosts-1).Draw(t, "host"), rapid.IntRange(0, hashes-1).Draw(t, "hash"),
		rapid.IntRange(0, people-1).Draw(t, "identity"), rapid.IntRange(0, 4).Draw(t, "calls")}
}), 1, 80)

// A world is several hosts with one registry.
type world struct {
	t      testing.TB
	store  registry.Registry
	hosts  []*rig
	before map[owner]registry.Reservation // what the registry held at the last look
	owed   map[owner]bool                 // journalled, and not yet seen held or listed
	freed  map[owner]bool                 // released since the last look
}

// An owner is one message of one hash.
type owner struct{ hash, identity int }

// Whatever happens in whatever order: a token names one message, a message
// keeps its token, and what was journalled is held with the stamped token or
// listed as a conflict.
func TestAnyInterleavingOfHostsKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := steps.Draw(rt, "steps")
		dir, err := os.MkdirTemp("", "guard")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		var broken error
		synctest.Test(t, func(t *testing.T) { broken = newWorld(t, dir).run(plan) })
		if broken != nil {
			rt.Fatal(broken)
		}
	})
}

func newWorld(t testing.TB, dir string) *world {
	w := &world{t: t, store: registry.New(memreg.New(), registry.Options{TTL: ttl}), owed: make(map[owner]bool), freed: make(map[owner]bool)}
	for n := range hosts {
		w.hosts = append(w.hosts, newRig(t, &faulty{Registry: w.store}, filepath.Join(dir, fmt.Sprint(n))))
	}
	return w
}

// run takes the steps, ends all outages, and returns what was broken.
func (w *world) run(plan []step) error {
	defer func() {
		for _, h := range w.hosts {
			h.Close()
		}
	}()
	for n, s := range plan {
		w.take(s)
		if err := w.look(); err != nil {
			return fmt.Errorf("after step %d, %+v: %w", n, s, err)
		}
	}
	for _, h := range w.hosts {
		h.inner.set(fault{})
	}
	rest(3 * retry)
	if err := w.look(); err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	for _, h := range w.hosts {
		if left := h.tally().records; left > 0 {
			return fmt.Errorf("%d records are left in %s", left, h.dir)
		}
	}
	for o := range w.owed {
		return fmt.Errorf("%+v was journalled, and is neither held with its token nor listed", o)
	}
	return nil
}

func (w *world) take(s step) {
	h, o := w.hosts[s.Host], owner{s.Hash, s.Identity}
	ctx := context.Background()
	switch s.Do {
	case "reserve", "share":
		req := request(s.Hash, s.Identity)
		req.Share = s.Do == "share"
		r, err := h.Reserve(ctx, req)
		if err != nil {
			w.t.Error(err)
		}
		// One that shares is owed nothing: it has the bare hash, whose ever it is.
		if r.Outcome == registry.Journalled && !req.Share {
			w.owed[o] = true
		}
	case "confirm":
		h.inner.Registry.Confirm(ctx, registry.Confirmation{List: list, Token: w.before[o].Token(), Identity: identity(s.Identity), URL: "https://a.example/1"})
	case "release":
		if h.inner.Registry.Release(ctx, list, w.before[o].Token(), identity(s.Identity)) == nil {
			w.freed[o] = true
		}
	case "outage begins":
		h.inner.set(fault{dead: true, spare: s.Calls})
	case "outage ends":
		h.inner.set(fault{})
	case "crash":
		w.crash(h)
	case "replay":
		rest(retry)
	case "expire":
		rest(ttl * 3 / 5)
	}
}

// crash ends a host in the middle of a write and starts it again.
func (w *world) crash(h *rig) {
	h.Close()
	if files, _ := filepath.Glob(filepath.Join(h.dir, "*.journal")); len(files) > 0 {
		f, err := os.OpenFile(slices.Max(files), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			w.t.Fatal(err)
		}
		torn, err := hex.DecodeString(goldenRecord[:60])
		if err != nil {
			w.t.Fatal(err)
		}
		f.Write(torn)
		f.Close()
	}
	h.open(w.t, Options{Stamp: true})
}

// look compares what the registry holds with the last look, and settles what
// was owed.
func (w *world) look() error {
	now := make(map[owner]registry.Reservation)
	for h := range hashes {
		all, err := w.store.LookupHash(context.Background(), list, hash(h))
		if err != nil {
			return err
		}
		for n, r := range all {
			o := owner{h, person(r.Identity)}
			if twin, double := now[o]; double || n > 0 && all[n-1].Ordinal >= r.Ordinal {
				return fmt.Errorf("%s and %s are one message's, or out of order", twin.Token(), r.Token())
			}
			now[o] = r
		}
	}
	if err := w.compare(now); err != nil {
		return err
	}
	w.before = now
	w.settle()
	clear(w.freed)
	return nil
}

// person is n of identity n.
func person(id hashheader.Identity) (n int) {
	for identity(n) != id {
		n++
	}
	return n
}

// compare wants each message to have kept its token until it was released or
// its time was up.
func (w *world) compare(now map[owner]registry.Reservation) error {
	for o, was := range w.before {
		is, held := now[o]
		free := w.freed[o] || was.State == registry.Reserved && !was.Expires.After(time.Now())
		if held && is.Ordinal != was.Ordinal && !free {
			return fmt.Errorf("%+v had %s and now has %s", o, was.Token(), is.Token())
		}
		if !held && !free {
			return fmt.Errorf("%+v has lost %s", o, was.Token())
		}
	}
	return nil
}

// settle strikes off what is held with its stamped token, or is listed. What
// was released is owed to nobody.
func (w *world) settle() {
	for o := range w.owed {
		if r, held := w.before[o]; w.freed[o] || held && r.Ordinal == 1 {
			delete(w.owed, o)
		}
	}
	for _, h := range w.hosts {
		for _, c := range conflicts(w.t, h.dir) {
			maps.DeleteFunc(w.owed, func(o owner, _ bool) bool {
				return hash(o.hash) == c.Stamped && identity(o.identity).String() == c.Identity
			})
		}
	}
}
