// Package faultproxy is a TCP proxy that fails on demand. It stands between a
// program under test and its server, and delays, stalls, refuses or cuts
// connections. It does not interpret the data.
//
//	p, err := faultproxy.Start(ctx, "127.0.0.1:6379")
//	... // have the program connect to p.Addr()
//	p.Set(faultproxy.BlackHole)
package faultproxy

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// A Mode is what the proxy does with data and with new connections. It applies
// to existing connections, too.
type Mode struct {
	kind  kind
	delay time.Duration
	bytes int
}

type kind int

const (
	pass kind = iota
	refuse
	blackHole
	slow
	cut
)

// The modes without an argument.
var (
	// Pass forwards everything.
	Pass = Mode{kind: pass}
	// Refuse resets each new connection at once and each old one with its
	// next byte.
	Refuse = Mode{kind: refuse}
	// BlackHole accepts connections and forwards nothing. When the mode ends,
	// the data arrives late, as after the failure of a network.
	BlackHole = Mode{kind: blackHole}
)

// Delay delays each piece of data by d, in both directions.
func Delay(d time.Duration) Mode { return Mode{kind: slow, delay: d} }

// CutAfter resets a connection after n bytes, counted in both directions since
// the mode began. With the right n, that is in the middle of a reply.
func CutAfter(n int) Mode { return Mode{kind: cut, bytes: n} }

// A setting is a mode and the channel that is closed at its end.
type setting struct {
	Mode
	over chan struct{}
}

// A Proxy forwards connections to one target. Make one with Start.
type Proxy struct {
	listener net.Listener
	target   string
	ctx      context.Context
	stop     context.CancelFunc
	all      sync.WaitGroup

	mu      sync.Mutex
	setting *setting
	conns   map[*connection]bool
}

// Start listens on a free port of 127.0.0.1 and forwards connections to target,
// host:port, until Close or until ctx is done. The first mode is Pass.
func Start(ctx context.Context, target string) (*Proxy, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the fault proxy: %w", err)
	}
	p := &Proxy{listener: ln, target: target, setting: &setting{over: make(chan struct{})}, conns: make(map[*connection]bool)}
	p.ctx, p.stop = context.WithCancel(ctx)
	p.all.Go(p.accept)
	p.all.Go(func() {
		<-p.ctx.Done()
		ln.Close()
		p.Cut()
	})
	return p, nil
}

// Addr returns the address of the proxy, host:port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Set changes the mode.
func (p *Proxy) Set(m Mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.setting.over)
	p.setting = &setting{m, make(chan struct{})}
}

// Cut resets the existing connections and returns their number.
func (p *Proxy) Cut() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.reset()
	}
	return len(p.conns)
}

// Close resets all connections and returns when they have ended.
func (p *Proxy) Close() error {
	p.stop()
	p.all.Wait()
	return nil
}

func (p *Proxy) current() *setting {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.setting
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.all.Go(func() { p.serve(client) })
	}
}
