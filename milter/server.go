package milter

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
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

	IdleTimeout   time.Duration // between two packets of an MTA
	MessageBudget time.Duration // for the decision about one message

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
	names    atomic.Uint64

	negotiationWait, writeWait, minIdle, minSilent time.Duration

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
	s := &Server{o: o, negotiationWait: negotiationWait, writeWait: writeWait, minIdle: minIdle, minSilent: minSilent,
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

// Serve serves the connections of a listener until Shutdown, and closes the
// listener. It also stops when Accept fails. It serves all connections at once:
// a listener that bounds them can call DropIdlest while one waits.
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
		case err != nil:
			return err
		}
		s.start(nc)
	}
}

// minIdle is how long a connection must have been idle before it gives way. An
// MTA that keeps its connections sends the next message sooner, or reconnects.
const minIdle = 5 * time.Second

// minSilent is how long a client must have sent nothing in a message before it
// gives way, where none is idle between messages. The MTA then tells its own
// client to try again.
const minSilent = time.Minute

// DropIdlest ends the connection that has been idle between messages for the
// longest time, if that is five seconds at least, or else one that has stood
// still in a message for a minute. So clients that only hold connections cannot
// keep an MTA out.
func (s *Server) DropIdlest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dropLongest(false, s.minIdle) {
		s.dropLongest(true, s.minSilent)
	}
}

// dropLongest ends the connection that is waited for since the longest time, in
// a message or between messages. One that is ending already does not count.
func (s *Server) dropLongest(inMessage bool, atLeast time.Duration) bool {
	var longest *conn
	oldest := time.Now().Add(-atLeast).UnixNano()
	for c := range s.conns {
		if since := c.waitedSince(inMessage); c.busy.Load() == inMessage && since < oldest && !c.dropped.Load() {
			longest, oldest = c, since
		}
	}
	if longest == nil {
		return false
	}
	longest.dropped.Store(true)
	longest.SetReadDeadline(time.Now())
	return true
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

// start serves a connection in its own goroutine.
func (s *Server) start(nc net.Conn) {
	c := newConn(nc, s, s.o.Log.With("conn", strconv.FormatUint(s.names.Add(1), 36)))
	if !s.add(c) {
		nc.Close()
		return
	}
	s.o.Observe.Connection(1)
	go func() {
		s.serve(c)
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
		s.o.Observe.Connection(-1)
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
