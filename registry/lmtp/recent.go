package lmtp

import "sync"

// recentMessages bounds the archived messages whose reverse-paths a server
// remembers.
const recentMessages = 4096

// A passage is how a message came to its token.
type passage struct{ list, token, from string }

// A recent recognizes a retransmission before its message is seen: a client
// whose connection broke before it read the reply sends the same envelope again
// (RFC 1047). The size of the message does not count, since it changes with the
// trace fields of another route. The zero recent is empty.
type recent struct {
	mu    sync.Mutex
	known map[passage]bool
	order []passage // oldest first
}

func (r *recent) remember(p passage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[p] {
		return
	}
	if r.known == nil {
		r.known = make(map[passage]bool)
	}
	r.known[p] = true
	r.order = append(r.order, p)
	if len(r.order) > recentMessages {
		delete(r.known, r.order[0])
		r.order = r.order[1:]
	}
}

func (r *recent) knows(p passage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.known[p]
}
