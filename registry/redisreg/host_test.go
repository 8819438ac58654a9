package redisreg_test

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/guard"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/registrytest/faultproxy"
)

// A network is what is between one host and the servers: a proxy for each
// address that the host connects to, all in the same mode.
type network struct {
	ctx context.Context

	mu      sync.Mutex
	mode    faultproxy.Mode
	proxies map[string]*faultproxy.Proxy
}

func (n *network) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	n.mu.Lock()
	p := n.proxies[addr]
	if p == nil {
		var err error
		if p, err = faultproxy.Start(n.ctx, addr); err != nil {
			n.mu.Unlock()
			return nil, err
		}
		p.Set(n.mode)
		n.proxies[addr] = p
	}
	n.mu.Unlock()
	var d net.Dialer
	return d.DialContext(ctx, "tcp", p.Addr())
}

// each calls f for each proxy.
func (n *network) each(f func(*faultproxy.Proxy)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.proxies {
		f(p)
	}
}

// during sets a mode for a while.
func (n *network) during(m faultproxy.Mode, d time.Duration) {
	for _, m := range []faultproxy.Mode{m, faultproxy.Pass} {
		n.mu.Lock()
		n.mode = m
		n.mu.Unlock()
		n.each(func(p *faultproxy.Proxy) { p.Set(m) })
		if m != faultproxy.Pass {
			time.Sleep(d)
		}
	}
}

// A host is a mail host: a store behind a network of its own, a clock of its
// own, and where journals says so, a guard with a journal.
type host struct {
	registry.Registry // none: only the methods below are called

	options redisreg.Options
	journal string // the guard's directory, "" without one
	network network
	skew    atomic.Int64 // of its clock

	mu   sync.RWMutex // held for writing while the host is down
	reg  registry.Registry
	ctx  context.Context // done when the host goes down
	stop context.CancelFunc
}

// startHost starts a host until the end of the test.
func startHost(t *testing.T, o redisreg.Options, journal string) *host {
	t.Helper()
	h := &host{options: o, journal: journal, network: network{ctx: t.Context(), proxies: make(map[string]*faultproxy.Proxy)}}
	must(t, h.start())
	t.Cleanup(func() {
		h.reg.Close()
		h.network.each(func(p *faultproxy.Proxy) { p.Close() })
	})
	return h
}

func (h *host) start() (failed error) {
	store, err := redisreg.OpenThrough(h.options, h.network.dial)
	if err != nil {
		return err
	}
	h.reg = registry.New(store, registry.Options{Now: h.now})
	h.ctx, h.stop = context.WithCancel(h.network.ctx)
	if h.journal == "" {
		return nil
	}
	for range 100 {
		g, err := guard.New(h.reg, guard.Options{Dir: h.journal, Stamp: true, Timeout: h.options.Timeout, RetryEvery: 50 * time.Millisecond})
		if err == nil {
			h.reg = g
			return nil
		}
		failed = err
		time.Sleep(10 * time.Millisecond) // a server that just starts has the journal's lock, too, until it is another program
	}
	return failed
}

// restart gives up the calls that are under way, and starts the host again.
func (h *host) restart(downtime time.Duration) error {
	h.stop()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reg.Close()
	time.Sleep(downtime)
	return h.start()
}

// now is the host's clock.
func (h *host) now() time.Time {
	return time.Unix(1800000000, 0).Add(time.Duration(h.skew.Load()))
}

// begin returns what a call needs while the host is up.
func (h *host) begin(ctx context.Context) (_ context.Context, _ registry.Registry, end func()) {
	h.mu.RLock()
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.ctx, cancel)
	return ctx, h.reg, func() { stop(); cancel(); h.mu.RUnlock() }
}

func (h *host) Reserve(ctx context.Context, r registry.Request) (registry.Result, error) {
	ctx, reg, end := h.begin(ctx)
	defer end()
	return reg.Reserve(ctx, r)
}

func (h *host) Lookup(ctx context.Context, list, token string) (registry.Reservation, error) {
	ctx, reg, end := h.begin(ctx)
	defer end()
	return reg.Lookup(ctx, list, token)
}

func (h *host) Confirm(ctx context.Context, c registry.Confirmation) (registry.Reservation, error) {
	ctx, reg, end := h.begin(ctx)
	defer end()
	return reg.Confirm(ctx, c)
}

func (h *host) Release(ctx context.Context, list, token string, id hashheader.Identity) error {
	ctx, reg, end := h.begin(ctx)
	defer end()
	return reg.Release(ctx, list, token, id)
}

// journalled reports whether reservations are left in the host's journal.
func (h *host) journalled() bool {
	files, _ := filepath.Glob(filepath.Join(h.journal, "*.journal"))
	return len(files) > 0
}

// A hostFault happens to one of the hosts.
type hostFault func(h *host, r *rand.Rand)

// hostFaults are what happens to a host in every schedule: what a network does
// to it, up to a partition from all servers, and a clock that jumps by days.
var hostFaults = []hostFault{
	func(h *host, r *rand.Rand) { h.network.during(faultproxy.BlackHole, outage(r)) },
	func(h *host, r *rand.Rand) { h.network.during(faultproxy.Refuse, outage(r)) },
	func(h *host, r *rand.Rand) { h.network.during(faultproxy.CutAfter(r.IntN(2000)), outage(r)) },
	func(h *host, r *rand.Rand) {
		h.network.during(faultproxy.Delay(time.Duration(r.IntN(40))*time.Millisecond), outage(r))
	},
	func(h *host, _ *rand.Rand) { h.network.each(func(p *faultproxy.Proxy) { p.Cut() }) },
	func(h *host, r *rand.Rand) {
		h.skew.Store(int64(time.Duration(r.IntN(20*24)-10*24) * time.Hour))
	},
}

func outage(r *rand.Rand) time.Duration { return time.Duration(r.IntN(250)) * time.Millisecond }

// tempJournal returns the directory of a host's journal.
func tempJournal(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "journal")
	must(t, err)
	return dir
}
