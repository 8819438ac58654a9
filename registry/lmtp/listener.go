package lmtp

import (
	"net"
	"time"
)

// minIdle is how long a client must have sent no message before it gives way to
// another, so that busy clients do not push each other out.
const minIdle = time.Second

// warnEvery is how often a flood of connections is logged, in seconds.
const warnEvery = 60

// A listener serves at most the server's number of connections at once. Where
// all are in use, the client that has sent no message for the longest time
// gives way: it is answered 421 and may come back. Otherwise a few clients that
// say nothing would keep everyone else's mail out for the whole time-out.
type listener struct {
	net.Listener
	server *Server
}

// Accept implements net.Listener.
func (l listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.takeSlot(nc) {
		nc.Close()
		return nil, net.ErrClosed
	}
	return l.server.track(nc), nil
}

// takeSlot waits until one more connection may be served. It reports false
// once the server shuts down.
func (l listener) takeSlot(nc net.Conn) bool {
	select {
	case l.server.slots <- struct{}{}:
		return true
	default:
	}
	if now, next := time.Now().Unix(), l.server.warnNext.Load(); now >= next && l.server.warnNext.CompareAndSwap(next, now+warnEvery) {
		l.server.o.Log.Warn("all LMTP connections are in use; the one that is idle for the longest time gives way",
			"listener", l.Addr(), "client", nc.RemoteAddr(), "max_connections", l.server.o.MaxConnections)
	}
	for {
		l.server.dismissIdle()
		select {
		case l.server.slots <- struct{}{}:
			return true
		case <-l.server.drained:
			return false
		case <-time.After(minIdle / 10):
		}
	}
}

// dismissIdle ends the connection of the client that has been idle for the
// longest time, if that is more than minIdle.
func (s *Server) dismissIdle() {
	var longest *conn
	oldest := time.Now().Add(-minIdle)
	s.each(func(c *conn) {
		if since, ok := c.idle(); ok && since.Before(oldest) {
			longest, oldest = c, since
		}
	})
	if longest != nil {
		longest.drain()
	}
}
