package httpapi

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// loopback is whose X-Forwarded-For is believed without configuration: a
// reverse proxy on the same host.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// maxClients bounds the table of clients. While it is full of clients that
// are still counted, those that are not in it share one place.
const maxClients = 10_000

// burst is how many seconds' worth of requests may come at once.
const burst = 10

// A limiter lets each client make rate requests a second. It keeps for each
// the time until which its requests are paid for (the generic cell rate
// algorithm: a leaky bucket that needs no timer).
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

// allow tells if a client may make a request now, and counts it if so.
func (l *limiter) allow(client netip.Addr, now time.Time) bool {
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
	next = next.Add(l.every)
	if next.Sub(now) > max(burst*time.Second, l.every) {
		return false
	}
	l.paid[client] = next
	return true
}

// forget drops the clients that have nothing left to wait for.
func (l *limiter) forget(now time.Time) {
	for client, until := range l.paid {
		if !until.After(now) {
			delete(l.paid, client)
		}
	}
}

// admit returns errTooMany for a client without a token that comes too often.
func (h *Handler) admit(r *http.Request) error {
	if h.o.Rate < 0 || len(h.grants(r)) > 0 || h.clients.allow(h.client(r), h.o.Now()) {
		return nil
	}
	return errTooMany
}

// client returns the address that a request counts for: the peer's, or what
// trusted proxies say. Addresses are read from the right: what stands left of
// the first that is not a trusted proxy's may be made up.
func (h *Handler) client(r *http.Request) netip.Addr {
	peer := netip.Addr{} // a unix socket
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		peer = ap.Addr().Unmap().WithZone("")
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if peer.IsValid() && !h.trusts(peer) {
			break
		}
		next, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		peer = next.Unmap().WithZone("")
	}
	if peer.Is6() {
		network, _ := peer.Prefix(64)
		return network.Addr()
	}
	return peer
}

func (h *Handler) trusts(peer netip.Addr) bool {
	return slices.ContainsFunc(h.o.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(peer) })
}
