package registrytest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// interleaving has several hosts do random things in random order. After each
// step it checks that a token names one message, that a message keeps its token
// as long as it holds it, and that the registry contains what it answered.
func interleaving(t *testing.T, store registry.Store) {
	c := &clock{now: time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC)}
	var hosts []registry.Registry
	for range 3 {
		hosts = append(hosts, registry.New(store, registry.Options{TTL: time.Hour, Now: c.Now}))
	}
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		w := &world{clock: c, store: store, hosts: hosts, list: fmt.Sprintf("run%d@lists.example.org", runs), held: make(map[int]holding)}
		rt.Repeat(map[string]func(*rapid.T){
			"reserve": w.reserve,
			"burst":   w.burst,
			"confirm": w.confirm,
			"release": w.release,
			"wait":    w.wait,
			"sweep":   w.sweep,
			"":        w.check,
		})
	})
}

// A world is the answers so far about one hash on one list.
type world struct {
	clock *clock
	store registry.Store
	hosts []registry.Registry
	list  string
	held  map[int]holding // by message
}

// A holding is the last answer about a message. It may have expired.
type holding struct {
	ordinal int
	state   registry.State
	expires time.Time // zero: never
}

var (
	anyMessage = rapid.IntRange(1, 6)
	anyOrdinal = rapid.IntRange(1, 5)
	anyMinutes = rapid.IntRange(1, 80)
)

func (w *world) host(t *rapid.T) registry.Registry { return rapid.SampledFrom(w.hosts).Draw(t, "host") }

func (w *world) request(message int) registry.Request {
	return registry.Request{List: w.list, Hash: hash, Identity: identity(message)}
}

// live reports whether a message holds its token now.
func (w *world) live(message int) bool {
	h, known := w.held[message]
	return known && (h.expires.IsZero() || h.expires.After(w.clock.Now()))
}

// holder returns the message that holds an ordinal now, or 0.
func (w *world) holder(ordinal int) int {
	for message, h := range w.held {
		if h.ordinal == ordinal && w.live(message) {
			return message
		}
	}
	return 0
}

// top is the highest ordinal that is held now.
func (w *world) top() (top int) {
	for message, h := range w.held {
		if w.live(message) {
			top = max(top, h.ordinal)
		}
	}
	return top
}

func (w *world) reserve(t *rapid.T) {
	message := anyMessage.Draw(t, "message")
	r, err := w.host(t).Reserve(t.Context(), w.request(message))
	if err != nil {
		t.Fatal(err)
	}
	w.reserved(t, message, r, w.top())
}

// reserved checks and records an answer. Top is the highest ordinal before the
// question.
func (w *world) reserved(t *rapid.T, message int, r registry.Result, top int) {
	was, known := w.held[message]
	other := w.holder(r.Ordinal)
	switch {
	case other != 0 && other != message:
		t.Fatalf("message %d was given %s, which %d holds", message, r.Token(), other)
	case known && w.live(message) && (r.Ordinal != was.ordinal || r.Outcome != registry.Held):
		t.Fatalf("message %d held %d, and is told %s %s", message, was.ordinal, r.Token(), r.Outcome)
	case r.Outcome == registry.Held && (!known || r.Ordinal != was.ordinal):
		t.Fatalf("message %d is told that it held %s", message, r.Token())
	case r.Outcome == registry.Fresh && r.Ordinal <= top:
		t.Fatalf("message %d was given %s anew while %d is held", message, r.Token(), top)
	}
	w.held[message] = holding{r.Ordinal, r.State, r.Expires}
}

// burst has all hosts reserve at once.
func (w *world) burst(t *rapid.T) {
	type answer struct {
		message int
		registry.Result
		err error
	}
	answers := make([]answer, len(w.hosts))
	var wg sync.WaitGroup
	for i, host := range w.hosts {
		a := &answers[i]
		a.message = anyMessage.Draw(t, "message")
		wg.Go(func() { a.Result, a.err = host.Reserve(t.Context(), w.request(a.message)) })
	}
	wg.Wait()
	top := w.top()
	// Of the answers about one message, the one that reserved it is the first.
	slices.SortStableFunc(answers, func(a, b answer) int { return cmp.Compare(a.Outcome, b.Outcome) })
	for _, a := range answers {
		if a.err != nil {
			t.Fatal(a.err)
		}
		w.reserved(t, a.message, a.Result, top)
	}
}

// refusal returns the error to expect for a message's claim to an ordinal.
func (w *world) refusal(message, ordinal int) error {
	switch w.holder(ordinal) {
	case 0:
		return registry.ErrNotFound
	case message:
		return nil
	}
	return registry.ErrOccupied
}

func (w *world) confirm(t *rapid.T) {
	message, ordinal := anyMessage.Draw(t, "message"), anyOrdinal.Draw(t, "ordinal")
	want := w.refusal(message, ordinal)
	r, err := w.host(t).Confirm(t.Context(), registry.Confirmation{List: w.list, Token: hashheader.Token(hash, ordinal),
		Identity: identity(message), URL: "https://lists.example.org/archives/list/devel/message/" + fmt.Sprint(message)})
	if !errors.Is(err, want) {
		t.Fatalf("confirm %d for message %d: %v, want %v", ordinal, message, err, want)
	}
	if err == nil {
		w.held[message] = holding{ordinal, r.State, r.Expires}
	}
}

func (w *world) release(t *rapid.T) {
	message, ordinal := anyMessage.Draw(t, "message"), anyOrdinal.Draw(t, "ordinal")
	want := w.refusal(message, ordinal)
	if want == nil && w.held[message].state == registry.Archived {
		want = registry.ErrArchived
	}
	err := w.host(t).Release(t.Context(), w.list, hashheader.Token(hash, ordinal), identity(message))
	if !errors.Is(err, want) {
		t.Fatalf("release %d of message %d: %v, want %v", ordinal, message, err, want)
	}
	if err == nil {
		delete(w.held, message)
	}
}

func (w *world) wait(t *rapid.T) {
	w.clock.advance(time.Duration(anyMinutes.Draw(t, "minutes")) * time.Minute)
}

// sweep removes what has expired. What is live is not touched, as check sees.
func (w *world) sweep(t *rapid.T) {
	one := oneEntry{w.store, registry.Key{List: w.list, Hash: hash}}
	if _, err := (registry.Sweep{Expired: w.clock.Now()}).Run(t.Context(), one); err != nil {
		t.Fatal(err)
	}
}

// oneEntry is a store whose scan sees one entry, since to read a whole store at
// each step takes long.
type oneEntry struct {
	registry.Store
	key registry.Key
}

func (s oneEntry) Scan(ctx context.Context, _ string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		e, err := s.Get(ctx, s.key)
		yield(registry.Record{Key: s.key, Entry: e}, err)
	}
}

// check compares the registry with the answers.
func (w *world) check(t *rapid.T) {
	all, err := w.hosts[0].LookupHash(t.Context(), w.list, hash)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[hashheader.Identity]bool)
	for _, r := range all {
		if seen[r.Identity] {
			t.Fatalf("a message holds two tokens: %+v", all)
		}
		seen[r.Identity] = true
		message := w.holder(r.Ordinal)
		if message == 0 || identity(message) != r.Identity || w.held[message].state != r.State || !w.held[message].expires.Equal(r.Expires) {
			t.Fatalf("%s is held by message %d, %+v; told %+v", r.Token(), message, w.held[message], r)
		}
	}
	for message := range w.held {
		if w.live(message) && !seen[identity(message)] {
			t.Fatalf("message %d has lost %+v", message, w.held[message])
		}
	}
}
