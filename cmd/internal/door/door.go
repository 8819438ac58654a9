// Package door bounds the connections that a service accepts.
//
// # How to use it
//
// Make one [Door] per service, and serve the listeners that [Door.Listen]
// returns:
//
//	d := door.New(door.Options{Service: "http", Max: 1000, Log: log})
//	err := server.Serve(d.Listen(ln))
//
// The server need not bound its connections, nor expect errors of Accept that
// pass: it stops when Accept fails. To drain, it closes the listener and then
// waits for its connections.
package door

import (
	"errors"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Options of New.
type Options struct {
	Service string // for the log
	Max     int    // connections that are open at once, over all listeners
	Log     *slog.Logger
	Waiting func() // called for each connection that has to wait for another to close; may be nil

	// MakeRoom is called while a connection waits, once and then every second.
	// The server may end connections that are idle, so that clients which only
	// hold connections cannot keep others out. It may be nil.
	MakeRoom func()
}

// A Door bounds the connections of one service. Make one with New.
type Door struct {
	o     Options
	slots chan struct{}

	full, failing throttle
}

// New returns a Door.
func New(o Options) *Door {
	if o.Waiting == nil {
		o.Waiting = func() {}
	}
	if o.MakeRoom == nil {
		o.MakeRoom = func() {}
	}
	return &Door{o: o, slots: make(chan struct{}, o.Max)}
}

// Listen returns a listener whose Accept waits while Max connections are open,
// and tries again after an error that passes.
func (d *Door) Listen(ln net.Listener) net.Listener {
	l := &listener{Listener: ln, door: d, closed: make(chan struct{})}
	l.markClosed = sync.OnceFunc(func() { close(l.closed) })
	return l
}

type listener struct {
	net.Listener
	door       *Door
	closed     chan struct{}
	markClosed func()
}

// retryDelay is how long Accept waits after an error that passes, and between
// two calls of MakeRoom.
const retryDelay = time.Second

// Accept implements net.Listener. It accepts a connection before it waits for a
// slot, so that an idle listener holds none.
func (l *listener) Accept() (net.Conn, error) {
	for {
		nc, err := l.Listener.Accept()
		if err == nil {
			return l.admit(nc)
		}
		if !isTemporary(err) {
			return nil, err
		}
		if l.door.failing.allows(time.Now()) {
			l.door.o.Log.Error("accept failed, trying again in a second; raise the limit of open files if this lasts",
				"service", l.door.o.Service, "listener", l.Addr(), "error", err)
		}
		select {
		case <-time.After(retryDelay):
		case <-l.closed:
			return nil, net.ErrClosed
		}
	}
}

// admit returns the connection once it has a slot.
func (l *listener) admit(nc net.Conn) (net.Conn, error) {
	d := l.door
	select {
	case d.slots <- struct{}{}:
	default:
		d.warnFull(l.Addr())
		if !l.wait() {
			nc.Close()
			return nil, net.ErrClosed
		}
	}
	return &conn{Conn: nc, leave: sync.OnceFunc(func() { <-d.slots })}, nil
}

// wait takes a slot once there is one. It reports false if the listener is
// closed before.
func (l *listener) wait() bool {
	retry := time.NewTicker(retryDelay)
	defer retry.Stop()
	for {
		l.door.o.MakeRoom()
		select {
		case l.door.slots <- struct{}{}:
			return true
		case <-l.closed:
			return false
		case <-retry.C:
		}
	}
}

func (d *Door) warnFull(addr net.Addr) {
	d.o.Waiting()
	if d.full.allows(time.Now()) {
		d.o.Log.Warn("all connections are in use, clients have to wait; raise max_connections of this service",
			"service", d.o.Service, "listener", addr, "max_connections", d.o.Max)
	}
}

// Close implements net.Listener. It ends an Accept that waits.
func (l *listener) Close() error {
	l.markClosed()
	return l.Listener.Close()
}

// isTemporary reports whether Accept may succeed later: the client gave up, or
// the system ran out of descriptors or memory.
func isTemporary(err error) bool {
	temporary := []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
	return slices.ContainsFunc(temporary, func(e error) bool { return errors.Is(err, e) })
}

// A conn gives its slot back when it is closed.
type conn struct {
	net.Conn
	leave func()
}

func (c *conn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// CloseWrite lets net/http end a response before it closes the connection, so
// that the client does not lose it to a reset.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// NetConn returns the accepted connection, for its socket options.
func (c *conn) NetConn() net.Conn { return c.Conn }

// quiet is the time between two lines of the log about the same trouble.
const quiet = time.Minute

// A throttle allows one line of the log in quiet.
type throttle struct {
	next atomic.Int64 // in nanoseconds since 1970
}

func (t *throttle) allows(now time.Time) bool {
	next := t.next.Load()
	return now.UnixNano() >= next && t.next.CompareAndSwap(next, now.Add(quiet).UnixNano())
}
