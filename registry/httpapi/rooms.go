package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// The time that strangers have. Tokens have the server's.
const (
	publicReadTimeout  = 5 * time.Second        // for the body of a request
	publicWriteTimeout = 20 * time.Second       // to the end of the answer
	refusedReadTimeout = 500 * time.Millisecond // for the rest of what is refused
)

// maxWork bounds the requests of strangers that keep the processor or the
// registry busy at once. Others wait, so that mail does not.
const maxWork = 2

// maxLarge bounds the messages with a token that are read at once: each may
// have a header section as large as the reader takes.
const maxLarge = 16

// The bounds of answers with many messages, such as a search of all lists. Each
// message may have a URL of 2,000 bytes, which a page shows several times: 1,000
// take 14 MB, for as long as the reader is slow.
const (
	fewMessages   = maxChoices // any number of answers may have so many
	maxLong       = 16         // answers with more, and listings, with a token
	maxPublicLong = 4          // answers with more to strangers
	maxReading    = 8          // requests that read all of a hash; others wait
)

// rooms bounds the requests in progress. Those with a token have a room of
// their own, which strangers cannot fill. A stranger whose body does not arrive
// holds up only others who send one.
type rooms struct {
	known      chan struct{} // with a token
	reading    chan struct{} // strangers' requests without a body
	sending    chan struct{} // strangers' requests with one
	work       chan struct{} // see turn
	large      chan struct{} // messages with a token
	long       chan struct{} // answers with many messages, with a token
	publicLong chan struct{} // answers with many messages to strangers
	hash       chan struct{} // requests that read all of a hash, with a token
	publicHash chan struct{} // the same of strangers

	maxClient int
	mu        sync.Mutex
	clients   map[netip.Addr]int // requests in progress of each stranger
}

func newRooms(o Options) *rooms {
	room := func(size int) chan struct{} { return make(chan struct{}, size) }
	return &rooms{known: room(o.MaxRequests), reading: room(o.MaxPublic), sending: room(max(o.MaxPublic/2, 1)), work: room(maxWork), large: room(maxLarge),
		long: room(maxLong), publicLong: room(maxPublicLong), hash: room(maxReading), publicHash: room(maxReading),
		maxClient: o.MaxClient, clients: make(map[netip.Addr]int)}
}

// enter admits a request to its room, unless there are too many. The caller
// must call leave when the request ends.
func (x *exchange) enter(cost int) (leave func(), err error) {
	if !x.isStranger() {
		return take(x.rooms.known)
	}
	sends := x.r.Body != nil && x.r.Body != http.NoBody
	x.setDeadlines(sends)
	if !x.rate.allow(x.client, cost, x.o.Now()) {
		return nil, errTooMany
	}
	return x.rooms.admit(x.client, sends)
}

// setDeadlines sets the time that a stranger has.
func (x *exchange) setDeadlines(sends bool) {
	now, control := time.Now(), http.NewResponseController(x)
	_ = control.SetWriteDeadline(now.Add(publicWriteTimeout)) // a test's writer has no deadlines
	if sends {
		_ = control.SetReadDeadline(now.Add(publicReadTimeout))
	}
}

// admit admits a stranger's request.
func (m *rooms) admit(client netip.Addr, sends bool) (leave func(), err error) {
	if !m.count(client) {
		return nil, fmt.Errorf("%w in progress at once", errTooMany)
	}
	room := m.reading
	if sends {
		room = m.sending
	}
	leaveRoom, err := take(room)
	if err != nil {
		m.discount(client)
		return nil, err
	}
	return func() { leaveRoom(); m.discount(client) }, nil
}

// count counts a request of a client, unless it has too many in progress.
func (m *rooms) count(client netip.Addr) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.clients[client] >= m.maxClient {
		return false
	}
	m.clients[client]++
	return true
}

func (m *rooms) discount(client netip.Addr) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.clients[client]--; m.clients[client] == 0 {
		delete(m.clients, client)
	}
}

// take takes a place in a room, or returns errBusy.
func take(room chan struct{}) (leave func(), err error) {
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	default:
		return nil, errBusy
	}
}

// answerWith admits an answer with so many messages. The caller must call leave
// when it is written.
func (x *exchange) answerWith(messages int) (leave func(), err error) {
	switch {
	case messages <= fewMessages:
		return func() {}, nil
	case x.isStranger():
		return take(x.rooms.publicLong)
	}
	return take(x.rooms.long)
}

// turn waits until a stranger's request may keep the processor or the registry
// busy. The caller must call done afterwards.
func (x *exchange) turn(ctx context.Context) (done func(), err error) {
	if !x.isStranger() {
		return func() {}, nil
	}
	return wait(ctx, x.rooms.work)
}

// turnOfHash waits until a request may read all of a hash. The caller must call
// done afterwards.
func (x *exchange) turnOfHash(ctx context.Context) (done func(), err error) {
	if x.isStranger() {
		return wait(ctx, x.rooms.publicHash)
	}
	return wait(ctx, x.rooms.hash)
}

// wait takes a place in a room, or returns errBusy when ctx ends.
func wait(ctx context.Context, room chan struct{}) (leave func(), err error) {
	select {
	case room <- struct{}{}:
		return func() { <-room }, nil
	case <-ctx.Done():
		return nil, errBusy
	}
}
