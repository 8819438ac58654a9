package redisreg_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
)

// messages is how many the load chooses from; two each share a hash, so that
// half of them collide.
const messages = 3000

// A load reserves from several hosts at once and holds each answer against
// those before: a token names one message, and a message keeps its token.
type load struct {
	t        *testing.T
	hosts    []registry.Registry
	end      context.CancelFunc
	workers  sync.WaitGroup
	refused  atomic.Int64
	mu       sync.Mutex
	holders  map[string]int // message by token
	tokens   map[int]string // token by message
	answered int
}

// startLoad starts two hosts with a few sessions each.
func startLoad(t *testing.T, o redisreg.Options) *load {
	t.Helper()
	l := &load{t: t, holders: make(map[string]int), tokens: make(map[int]string)}
	ctx, end := context.WithCancel(t.Context())
	l.end = end
	t.Cleanup(func() {
		end()
		l.workers.Wait()
	})
	for range 2 {
		host := registry.New(open(t, o), registry.Options{})
		l.hosts = append(l.hosts, host)
		for range 4 {
			l.workers.Go(func() {
				for ctx.Err() == nil {
					l.reserve(ctx, host, rand.IntN(messages))
				}
			})
		}
	}
	return l
}

func message(n int) registry.Request {
	hash, _ := hashheader.MD5.Hash(fmt.Append(nil, n/2))
	return registry.Request{List: "devel@lists.example.org", Hash: hash, Identity: hashheader.Identity{byte(n), byte(n >> 8)}}
}

// reserve reports whether there was an answer. No answer must be an outage's.
func (l *load) reserve(ctx context.Context, host registry.Registry, n int) bool {
	r, err := host.Reserve(ctx, message(n))
	if err != nil {
		if !errors.Is(err, registry.ErrUnavailable) {
			l.t.Error(err)
		}
		l.refused.Add(1)
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answered++
	token := r.Token()
	if holder, known := l.holders[token]; known && holder != n {
		l.t.Errorf("%s names message %d, and %d", token, holder, n)
	}
	if before, known := l.tokens[n]; known && before != token {
		l.t.Errorf("message %d had %s, now %s", n, before, token)
	}
	l.holders[token], l.tokens[n] = n, token
	return true
}

// progress waits until a number of further reservations is answered.
func (l *load) progress(more int) {
	l.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.answered
	}
	want := count() + more
	for deadline := time.Now().Add(30 * time.Second); count() < want; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("%d of %d more reservations answered", count()-want+more, more)
		}
	}
}

// finish ends the load. Then every message must be served, and all that was
// ever acknowledged be there.
func (l *load) finish() {
	l.t.Helper()
	l.end()
	l.workers.Wait()
	known := len(l.tokens)
	for n := range messages {
		for deadline := time.Now().Add(10 * time.Second); !l.reserve(l.t.Context(), l.hosts[n%2], n); {
			if time.Now().After(deadline) {
				l.t.Fatalf("message %d is not served", n)
			}
		}
	}
	for n, token := range l.tokens {
		r, err := l.hosts[1].Lookup(l.t.Context(), message(n).List, token)
		if err != nil || r.Identity != message(n).Identity {
			l.t.Errorf("message %d, %s: %v", n, token, err)
		}
	}
	l.t.Logf("%d reservations answered, %d refused meanwhile, %d of %d messages acknowledged under load", l.answered, l.refused.Load(), known, messages)
}
