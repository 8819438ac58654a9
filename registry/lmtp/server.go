package lmtp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// ErrServerClosed is returned by Serve after Shutdown.
var ErrServerClosed = errors.New("lmtp server closed")

// maxLine bounds a line of a message or command, in bytes. RFC 5321, section
// 4.5.3.1.6, asks for 1000; mail with longer lines exists, and is archived.
const maxLine = 128 << 10

// A Domain is one list that an archive host serves.
type Domain struct {
	Name     string              // what recipients have behind the @
	List     string              // list@host
	URL      hashheader.Template // of the stamp.Archive that holds the list
	Delivery Delivery
}

// Options of NewServer. All limits must be positive.
type Options struct {
	// Domains may name a host several times, with lists whose local parts
	// differ. A recipient without a list's name is for the first of them.
	Domains  []Domain
	Registry registry.Registry
	Identity []string // of hashheader.IdentityFields, as the milter has them
	Hostname string   // for replies and the Received field
	Log      *slog.Logger

	MaxMessage      int64         // bytes
	MaxRecipients   int           // of one message
	Timeout         time.Duration // for one wait for the client, and one delivery
	RegistryTimeout time.Duration // for one call of the registry
}

// A Server serves LMTP. Make one with NewServer.
type Server struct {
	o        Options
	smtp     *smtp.Server
	domains  domains
	recent   recent
	turns    turns           // of list and hash
	ctx      context.Context // ends when Shutdown cuts what is in progress
	cut      context.CancelFunc
	draining atomic.Bool

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[*conn]bool
}

// NewServer returns a server that serves nothing yet. It makes the folders of
// the Maildirs. Where it cannot, it says so in the log, and the list's messages
// are put off until it can: a Maildir may belong to another user, who must not
// be able to keep all services down.
func NewServer(o Options) (*Server, error) {
	domains, err := newDomains(o.Domains)
	if err != nil {
		return nil, err
	}
	for _, d := range domains {
		if err := d.Delivery.prepare(); err != nil {
			o.Log.Error("the Maildir cannot be used; clients are asked to try again until it can", "list", d.List, "error", err)
		}
	}
	s := &Server{o: o, domains: domains, conns: make(map[*conn]bool)}
	s.ctx, s.cut = context.WithCancel(context.Background())
	s.smtp = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.smtp.LMTP, s.smtp.EnableSMTPUTF8 = true, true
	s.smtp.Domain, s.smtp.MaxLineLength = o.Hostname, maxLine
	s.smtp.MaxMessageBytes, s.smtp.MaxRecipients = o.MaxMessage, o.MaxRecipients
	s.smtp.WriteTimeout = o.Timeout
	s.smtp.ErrorLog = slog.NewLogLogger(o.Log.Handler(), slog.LevelInfo)
	return s, nil
}

// Serve serves the connections of a listener until Shutdown, and closes the
// listener. It returns ErrServerClosed after Shutdown. It serves all connections
// at once: a listener that bounds them can call DropIdlest while one waits.
func (s *Server) Serve(ln net.Listener) error {
	defer ln.Close()
	if !s.open(ln) {
		return ErrServerClosed
	}
	err := s.smtp.Serve(listener{ln, s})
	if s.draining.Load() {
		return ErrServerClosed
	}
	return fmt.Errorf("lmtp: %w", err)
}

// A listener's connections are known to the server.
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
	return l.server.track(nc), nil
}

// minIdle is how long a client must have sent no message before it gives way to
// another, so that busy clients do not push each other out.
const minIdle = time.Second

// DropIdlest ends the connection of the client that has sent no message for the
// longest time, if that is more than a second: it is answered 421 and may come
// back. So clients that say nothing cannot keep everyone else's mail out.
func (s *Server) DropIdlest() {
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

// open notes a listener for Shutdown to close. It reports false after Shutdown,
// where go-smtp would serve the listener for ever.
func (s *Server) open(ln net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Load() {
		return false
	}
	s.listeners = append(s.listeners, ln)
	return true
}

// Shutdown stops accepting, lets the messages in progress end, and closes the
// connections. When ctx ends first, it cuts them off and returns ctx's error; a
// client that got no reply keeps its message and tries again. The server's
// deliveries cannot be used any more.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopAccepting()
	done := make(chan struct{})
	go func() {
		defer close(done)
		// This waits for the connections. Its error is about listeners, which
		// are closed already.
		_ = s.smtp.Shutdown(context.Background())
	}()
	s.each((*conn).drain)
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.cut()
		s.each(func(c *conn) { c.Conn.Close() })
		<-done
	}
	s.cut()
	s.domains.close()
	return err
}

func (s *Server) stopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining.Store(true)
	for _, ln := range s.listeners {
		ln.Close()
	}
}

func (s *Server) each(visit func(*conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		visit(c)
	}
}

func (s *Server) track(nc net.Conn) *conn {
	c := &conn{Conn: nc, server: s, since: time.Now()}
	c.stream = newStream(waiting{c})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	return c
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}
