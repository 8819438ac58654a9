package lmtp

import (
	"context"
	"sync"
)

// turns lets one at a time through for each key. The zero value is ready for
// use.
type turns struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed when the turn is over
}

// wait waits for a key's turn until ctx ends. The caller must call done
// afterwards.
func (t *turns) wait(ctx context.Context, key string) (done func(), err error) {
	for {
		before, ok := t.take(key)
		if ok {
			return func() { t.end(key) }, nil
		}
		select {
		case <-before:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// take takes the turn of a key if it is free, or returns what is closed when it
// is over.
func (t *turns) take(key string) (before chan struct{}, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if before, taken := t.taken[key]; taken {
		return before, false
	}
	if t.taken == nil {
		t.taken = make(map[string]chan struct{})
	}
	t.taken[key] = make(chan struct{})
	return nil, true
}

func (t *turns) end(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.taken[key])
	delete(t.taken, key)
}
