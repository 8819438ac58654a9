package milter

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// ErrServerClosed is returned by Serve after Shutdown.
var ErrServerClosed = errors.New("milter server closed")

// An Observer counts what a server does. Its methods must be safe for use by
// many goroutines.
type Observer interface {
	Connection(delta int)                           // opened: 1, closed: -1
	Message(result string, took time.Duration)      // stamped, unchanged, tempfail or unmarked, after observed_ where the policy observes
	Reservation(outcome string, took time.Duration) // registry.Outcome, or error
	Refused(reason string)                          // connection or message not served
}

// Options of NewServer. All limits must be positive.
type Options struct {
	Policy  *stamp.Policy
	Reserve func(context.Context, registry.Request) (registry.Result, error)
	// Offer is Reserve that reserves nothing, for a policy that observes; see
	// registry.Offer.
	Offer   func(context.Context, registry.Request) (registry.Result, error)
	Log     *slog.Logger
	Observe Observer // may be nil

	MaxConnections int
	IdleTimeout    time.Duration // between two packets of an MTA
	MessageBudget  time.Duration // for the decision about one message

	// MaxHeaderFields and MaxHeaderBytes bound a header section; a message over
	// them passes unmarked. Zero means the bounds of package hashheader, which
	// all other readers of messages have.
	MaxHeaderFields, MaxHeaderBytes int
}

// A Server serves milter sessions. Make one with NewServer.
type Server struct {
	o        Options
	policy   atomic.Pointer[stamp.Policy]
	draining atomic.Bool
	slots    chan struct{}
	warned   atomic.Int64 // when it was last logged that slots ran out, in Unix seconds
	names    atomic.Uint64

	negotiationWait, writeWait, minIdle time.Duration

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*conn]bool
	all       sync.WaitGroup
}

// NewServer returns a server that serves nothing yet.
func NewServer(o Options) *Server {
	if o.Observe == nil {
		o.Observe = ignore{}
	}
	o.MaxHeaderFields = cmp.Or(o.MaxHeaderFields, hashheader.MaxSectionFields)
	o.MaxHeaderBytes = cmp.Or(o.MaxHeaderBytes, hashheader.MaxSectionSize)
	s := &Server{o: o, slots: make(chan struct{}, o.MaxConnections), negotiationWait: negotiationWait, writeWait: writeWait, minIdle: minIdle,
		listeners: make(map[net.Listener]bool), conns: make(map[*conn]bool)}
	s.policy.Store(o.Policy)
	return s
}

type ignore struct{}

func (ignore) Connection(int)                    {}
func (ignore) Message(string, time.Duration)     {}
func (ignore) Reservation(string, time.Duration) {}
func (ignore) Refused(string)                    {}

// SetPolicy sets the policy of the messages that begin from now on.
func (s *Server) SetPolicy(p *stamp.Policy) { s.policy.Store(p) }

// Serve accepts connections until Shutdown, and closes the listener. It serves
// at most MaxConnections at once. The next one then waits until another ends; a
// connection that has been idle between messages for minIdle gives way to it.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.track(ln) {
		return ErrServerClosed
	}
	for {
		nc, err := ln.Accept()
		switch {
		case err != nil && s.draining.Load():
			return ErrServerClosed
		case isTemporary(err):
			s.o.Log.Error("accept failed, trying again in a second; raise the limit of open files if this lasts",
				"listener", ln.Addr(), "error", err)
			time.Sleep(time.Second)
		case err != nil:
			return err
		default:
			s.takeSlot(ln)
			s.start(nc)
		}
	}
}

// warnEvery is how often a flood of connections is logged, in seconds.
const warnEvery = 60

// minIdle is how long a connection must have been idle before it gives way. An
// MTA that keeps its connections sends the next message sooner, or reconnects.
const minIdle = 5 * time.Second

// takeSlot waits until one more connection may be served.
func (s *Server) takeSlot(ln net.Listener) {
	select {
	case s.slots <- struct{}{}:
		return
	default:
	}
	s.o.Observe.Refused("max_connections")
	if now, last := time.Now().Unix(), s.warned.Load(); now-last >= warnEvery && s.warned.CompareAndSwap(last, now) {
		s.o.Log.Warn("all connections are in use, the MTA has to wait; raise milter.max_connections",
			"listener", ln.Addr(), "max_connections", s.o.MaxConnections)
	}
	retry := time.NewTicker(s.minIdle / 5)
	defer retry.Stop()
	for {
		s.dropIdlest()
		select {
		case s.slots <- struct{}{}:
			return
		case <-retry.C:
		}
	}
}

// dropIdlest ends the connection that has been idle between messages for the
// longest time, if that is minIdle at least. So clients that only hold
// connections cannot keep an MTA out.
func (s *Server) dropIdlest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var idlest *conn
	for c := range s.conns {
		if !c.busy.Load() && (idlest == nil || c.idleSince.Load() < idlest.idleSince.Load()) {
			idlest = c
		}
	}
	if idlest != nil && time.Since(time.Unix(0, idlest.idleSince.Load())) >= s.minIdle {
		idlest.dropped.Store(true)
		idlest.SetReadDeadline(time.Now())
	}
}

// isTemporary reports whether a later Accept may succeed: the connection was
// closed before it was accepted, or the system is out of descriptors or memory.
func isTemporary(err error) bool {
	passing := []error{syscall.ECONNABORTED, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM}
	return slices.ContainsFunc(passing, func(e error) bool { return errors.Is(err, e) })
}

func (s *Server) track(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners[ln] = true
	return true
}

// The buffers of a connection, in bytes. MTAs write 4 KB at a time; the replies
// to one message take a few hundred bytes.
const readRoom, writeRoom = 4096, 1024

// start serves a connection in its own goroutine and gives its slot back at
// the end.
func (s *Server) start(nc net.Conn) {
	c := newConn(nc, s, s.o.Log.With("conn", strconv.FormatUint(s.names.Add(1), 36)))
	if !s.add(c) {
		nc.Close()
		<-s.slots
		return
	}
	s.o.Observe.Connection(1)
	go func() {
		s.serve(c)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.o.Observe.Connection(-1)
		<-s.slots
		s.all.Done()
	}()
}

// add keeps a connection for Shutdown. It reports false after Shutdown began.
func (s *Server) add(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.conns[c] = true
	s.all.Add(1)
	return true
}

// serve negotiates with one MTA and serves its messages.
func (s *Server) serve(c *conn) {
	session := &session{server: s, conn: c, policy: s.policy.Load()}
	c.idle = s.negotiationWait
	if err := session.negotiate(); err != nil {
		s.o.Observe.Refused("no_negotiation")
		c.log.Info("connection refused", "client", c.RemoteAddr(), "error", err)
		c.Close()
		return
	}
	c.idle = s.o.IdleTimeout
	err := session.run()
	if errors.Is(err, errQuit) {
		err = nil
	}
	c.end(err)
}

// Shutdown stops accepting, lets the messages in progress end, and closes
// their connections. When ctx ends first, it closes them at once and returns
// ctx's error; their MTAs keep the mail and try again.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.draining.Store(true)
	s.mu.Unlock()
	s.each(func(c *conn) {
		if !c.busy.Load() {
			c.SetReadDeadline(time.Now())
		}
	})
	done := make(chan struct{})
	go func() {
		s.all.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		s.each(func(c *conn) { c.Conn.Close() })
		<-done
		return ctx.Err()
	}
}

// each closes the listeners and calls visit for each connection.
func (s *Server) each(visit func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ln := range s.listeners {
		ln.Close()
	}
	for c := range s.conns {
		visit(c)
	}
}
