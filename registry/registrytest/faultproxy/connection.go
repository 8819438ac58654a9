package faultproxy

import (
	"context"
	"net"
	"sync"
	"time"
)

// A connection is a client's connection and the one to the target.
type connection struct {
	proxy          *Proxy
	client, server net.Conn
	ctx            context.Context
	cancel         context.CancelFunc

	mu      sync.Mutex
	setting *setting // to which left applies
	left    int      // bytes until the cut
}

// serve forwards one connection until its end. If the target is down, it resets
// the client's connection.
func (p *Proxy) serve(client net.Conn) {
	c := &connection{proxy: p, client: client}
	c.ctx, c.cancel = context.WithCancel(p.ctx)
	defer c.reset()
	if p.current().kind == refuse {
		return
	}
	var d net.Dialer
	server, err := d.DialContext(c.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	c.server = server
	p.track(c, true)
	defer p.track(c, false)
	var both sync.WaitGroup
	both.Go(func() { c.carry(client, server) })
	both.Go(func() { c.carry(server, client) })
	both.Wait()
}

func (p *Proxy) track(c *connection, there bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !there {
		delete(p.conns, c)
		return
	}
	p.conns[c] = true
	if p.ctx.Err() != nil { // closed while this one was dialling
		c.reset()
	}
}

// reset ends both halves with RST rather than FIN (RFC 9293, section 3.5.2), as
// a crashed host does.
func (c *connection) reset() {
	c.cancel()
	for _, half := range []net.Conn{c.client, c.server} {
		if tcp, ok := half.(*net.TCPConn); ok {
			tcp.SetLinger(0)
			tcp.Close()
		}
	}
}

// carry copies one direction until its end, and forwards a half-close.
func (c *connection) carry(from, to net.Conn) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && !c.forward(to, buf[:n]) {
			c.reset()
			return
		}
		if err != nil {
			to.(*net.TCPConn).CloseWrite()
			return
		}
	}
}

// forward writes data when and as far as the mode allows. It returns false if the
// connection is to be reset.
func (c *connection) forward(to net.Conn, data []byte) bool {
	s := c.await()
	allowed := c.allowed(s, len(data))
	if _, err := to.Write(data[:allowed]); err != nil {
		return false
	}
	return allowed == len(data) && c.ctx.Err() == nil
}

// await waits until the mode lets data through, and returns the mode.
func (c *connection) await() *setting {
	for {
		s := c.proxy.current()
		var due <-chan time.Time // never, in a black hole
		switch s.kind {
		case blackHole:
		case slow:
			due = time.After(s.delay)
		default:
			return s
		}
		select {
		case <-s.over:
		case <-due:
			return s
		case <-c.ctx.Done():
			return s
		}
	}
}

// allowed returns how many of n bytes may go through, and counts them.
func (c *connection) allowed(s *setting, n int) int {
	if s.kind == refuse || c.ctx.Err() != nil {
		return 0
	}
	if s.kind != cut {
		return n
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.setting != s {
		c.setting, c.left = s, s.bytes
	}
	n = min(n, c.left)
	c.left -= n
	return n
}
