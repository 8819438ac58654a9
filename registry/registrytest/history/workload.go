package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A Workload is what the clients of a schedule do. Equal workloads ask the same
// things in the same order, client by client.
type Workload struct {
	Seed    uint64
	List    string
	Hashes  int // that the calls are about
	Shared  int // messages of each hash that all clients see
	Calls   int // of each client
	Timeout time.Duration
	// Lookups asks for tokens, too. Leave it out where the registry promises
	// nothing about them.
	Lookups bool
}

// releasers is how many clients have a message of each hash that they alone see,
// and release now and then. They leave it alone after a call without an answer:
// what such a call did, and when, is what makes the check of a history slow.
const releasers = 2

// Run makes the calls of one client.
func (w Workload) Run(ctx context.Context, client int, reg registry.Registry) {
	c := &asker{Workload: w, reg: reg, rand: rand.New(rand.NewPCG(w.Seed, uint64(client))), client: client, tokens: make(map[message]string), lost: make(map[message]bool)}
	for range w.Calls {
		if ctx.Err() != nil {
			return
		}
		c.next(ctx)
	}
}

// A message is the n-th of a hash.
type message struct {
	hash string
	n    int
}

type asker struct {
	Workload
	reg    registry.Registry
	rand   *rand.Rand
	client int
	tokens map[message]string // as last answered
	lost   map[message]bool   // its own messages that it leaves alone
}

// next makes one call.
func (c *asker) next(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	m := message{hashOf(c.rand.IntN(c.Hashes)), c.rand.IntN(c.Shared + 1)}
	own := m.n == c.Shared && c.client < releasers
	if own {
		m.n += c.client
	}
	dice := c.rand.IntN(10)
	if m.n == c.Shared && !own || c.lost[m] {
		m.n, own = c.rand.IntN(c.Shared), false
	}
	err := c.ask(ctx, m, own, dice)
	c.lost[m] = own && errors.Is(err, registry.ErrUnavailable)
}

func (c *asker) ask(ctx context.Context, m message, own bool, dice int) (err error) {
	token, known := c.tokens[m]
	switch {
	case dice < 2 && c.Lookups:
		_, err = c.reg.Lookup(ctx, c.List, hashheader.Token(m.hash, 1+dice))
	case dice < 3 && known && !own:
		_, err = c.reg.Confirm(ctx, registry.Confirmation{List: c.List, Token: token, Identity: m.identity(), URL: "https://lists.example.org/" + token})
	case dice < 6 && known && own:
		err = c.reg.Release(ctx, c.List, token, m.identity())
		delete(c.tokens, m)
	default:
		var r registry.Result
		if r, err = c.reg.Reserve(ctx, registry.Request{List: c.List, Hash: m.hash, Identity: m.identity()}); err == nil {
			c.tokens[m] = r.Token()
		}
	}
	return err
}

// Finish reserves every shared message once more and asks for every token that a
// message may hold, so that the history shows what is left at the end. The
// reservations come first: they find the server that the others have chosen,
// where a look-up may still ask a former one.
func (w Workload) Finish(ctx context.Context, reg registry.Registry) error {
	for h := range w.Hashes {
		for n := range w.Shared {
			m := message{hashOf(h), n}
			if _, err := reg.Reserve(ctx, registry.Request{List: w.List, Hash: m.hash, Identity: m.identity()}); err != nil {
				return fmt.Errorf("the registry does not answer at the end: %w", err)
			}
		}
	}
	for h := range w.Hashes {
		for ordinal := range w.Shared + releasers {
			_, err := reg.Lookup(ctx, w.List, hashheader.Token(hashOf(h), ordinal+1))
			if err != nil && !errors.Is(err, registry.ErrNotFound) {
				return fmt.Errorf("the registry does not answer at the end: %w", err)
			}
		}
	}
	return nil
}

func hashOf(n int) string {
	hash, err := hashheader.MD5.Hash(fmt.Appendf(nil, "%d@example.org", n))
	if err != nil {
		panic(err)
	}
	return hash
}

func (m message) identity() hashheader.Identity {
	return hashheader.Identify(nil, fmt.Appendf(nil, "%d of %s", m.n, m.hash), []string{"message-id"})
}
