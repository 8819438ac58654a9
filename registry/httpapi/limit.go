package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// loopback holds the peers whose X-Forwarded-For is believed without
// configuration: a reverse proxy on the same host.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// maxClients bounds the table of clients. While it is full of clients that
// still have to wait, those that are not in it share one place.
const maxClients = 10_000

// burst is how many seconds' worth of requests may come at once.
const burst = 10

// A limiter lets each client make a number of requests per second. It keeps
// for each the time until which its requests are paid for (the generic cell
// rate algorithm: a leaky bucket that needs no timer).
type limiter struct {
	every time.Duration // one request's worth; 0: no limit
	mu    sync.Mutex
	paid  map[netip.Addr]time.Time
}

func newLimiter(rate float64) *limiter {
	l := &limiter{paid: make(map[netip.Addr]time.Time)}
	if rate > 0 {
		l.every = time.Duration(float64(time.Second) / rate)
	}
	return l
}

// allow reports whether a client may now make a request that costs as much as
// a number of plain ones, and counts it if so.
func (l *limiter) allow(client netip.Addr, cost int, now time.Time) bool {
	if l.every == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, known := l.paid[client]; !known && len(l.paid) >= maxClients {
		l.forget(now)
		if len(l.paid) >= maxClients {
			client = netip.Addr{}
		}
	}
	next := l.paid[client]
	if next.Before(now) {
		next = now
	}
	price := time.Duration(cost) * l.every
	next = next.Add(price)
	if next.Sub(now) > max(burst*time.Second, price) {
		return false
	}
	l.paid[client] = next
	return true
}

// forget drops the clients that need not wait.
func (l *limiter) forget(now time.Time) {
	for client, until := range l.paid {
		if !until.After(now) {
			delete(l.paid, client)
		}
	}
}

// clientOf returns the address that a request counts for: the peer's, or what
// trusted proxies say. It reads addresses from the right: those to the left of
// the first that is not a trusted proxy's may be made up.
func (h *Handler) clientOf(r *http.Request) netip.Addr {
	peer := peerOf(r.RemoteAddr)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !h.trusts(peer) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		peer = next.Unmap().WithZone("")
	}
	return network(peer)
}

// peerOf returns the address of a connection's other end, the zero Addr for a
// unix socket.
func peerOf(remote string) netip.Addr {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// network returns the address that one client's addresses have in common.
func network(peer netip.Addr) netip.Addr {
	if !peer.Is6() {
		return peer
	}
	prefix, _ := peer.Prefix(64)
	return prefix.Addr()
}

// trusts reports whether a peer is a proxy that names its clients. A unix
// socket's always is.
func (h *Handler) trusts(peer netip.Addr) bool {
	return !peer.IsValid() || slices.ContainsFunc(h.o.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer) })
}
