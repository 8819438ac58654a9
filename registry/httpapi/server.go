package httpapi

import (
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// The limits of a connection. A client that is slower is cut off.
const (
	headerTimeout = 5 * time.Second  // for the header of a request
	readTimeout   = 30 * time.Second // for all of it
	writeTimeout  = 90 * time.Second // from its header to the end of the answer
	idleTimeout   = 10 * time.Second // between requests
	maxHeaderSize = 16 << 10         // bytes of a request's header; net/http adds 4 KiB
	maxConns      = 64               // of one client
)

// NewServer returns a server for a handler with limits on time, on size and on
// the connections of one client set. The caller serves its listeners (plain or
// TLS), bounds their connections in all, and shuts the server down.
func NewServer(handler *Handler, log *slog.Logger) *http.Server {
	c := &conns{handler: handler, open: make(map[netip.Addr]int), counted: make(map[net.Conn]netip.Addr)}
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderSize,
		ConnState:         c.state,
		Protocols:         http1(),
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// http1 leaves HTTP/2 out: one connection carries any number of its frames (RST_STREAM,
// SETTINGS, CONTINUATION), which cost the processor, and which no limit counts.
func http1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

// conns counts the connections of each client.
type conns struct {
	handler *Handler
	mu      sync.Mutex
	open    map[netip.Addr]int
	counted map[net.Conn]netip.Addr
}

// state is http.Server.ConnState. It closes what a client opens beyond
// maxConns. Proxies that name their clients are not bounded.
func (c *conns) state(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if !c.add(conn) {
			_ = conn.Close()
		}
	case http.StateClosed, http.StateHijacked:
		c.remove(conn)
	}
}

func (c *conns) add(conn net.Conn) bool {
	peer := peerOf(conn.RemoteAddr().String())
	if c.handler.trusts(peer) {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	client := network(peer)
	if c.open[client] >= maxConns {
		return false
	}
	c.open[client]++
	c.counted[conn] = client
	return true
}

func (c *conns) remove(conn net.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	client, ok := c.counted[conn]
	if !ok {
		return
	}
	delete(c.counted, conn)
	if c.open[client]--; c.open[client] == 0 {
		delete(c.open, client)
	}
}
