package lmtp

import "sync"

// recentMessages is how many archived messages a server remembers the senders
// of.
const recentMessages = 4096

// A passage is how a message came to its token.
type passage struct{ list, token, from string }

// A recent tells a retransmission before its message is seen: the client whose
// connection broke before it read the reply sends the same envelope again
// (RFC 1047). The size of the message is no part of it: it changes with the
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
