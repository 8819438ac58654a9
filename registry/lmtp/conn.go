package lmtp

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// messageWaits bounds the time for a whole message, in time-outs, so that a
// client cannot hold a connection for ever by one byte a minute.
const messageWaits = 10

// A conn is a client's connection. It sets its own deadlines: go-smtp sets one
// when it waits for a command and none while it reads a message, so that a long
// message would end with the time-out of its DATA command.
type conn struct {
	net.Conn
	server *Server
	stream *stream
	hungUp atomic.Bool
	column int // in the line of the reply that is being written

	mu      sync.Mutex
	until   time.Time // while a message is received and delivered
	since   time.Time // when the last message ended, or the connection began
	waiting bool      // the server waits for a command
}

// SetReadDeadline does nothing: the deadline is set for each wait.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// Read reads what the client sends, as a stream corrects it.
func (c *conn) Read(p []byte) (int, error) {
	if c.hungUp.Load() {
		return 0, io.EOF
	}
	return c.stream.Read(p)
}

// Write writes a reply. The reply 354 accepts a DATA command.
func (c *conn) Write(p []byte) (int, error) {
	if bytes.HasPrefix(p, []byte("354 ")) {
		c.stream.begin()
	}
	if _, err := c.Conn.Write(c.plain(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// maxReply bounds a line of a reply. RFC 5321, section 4.5.3.1.5, asks for 512
// octets with the line end; two of the longest addresses need more.
const maxReply = 1000

// plain returns a part of a reply without control characters and cut to
// maxReply: go-smtp repeats what a client says of itself, and commands that it
// does not know.
func (c *conn) plain(reply []byte) []byte {
	out := make([]byte, 0, len(reply))
	for i, b := range reply {
		last := i+1 == len(reply)
		switch {
		case b == '\n':
			out, c.column = append(out, "\r\n"...), 0
		case b == '\r' && (last || reply[i+1] == '\n'), c.column == maxReply:
		case b < ' ' || b == 0x7f:
			out, c.column = append(out, '?'), c.column+1
		default:
			out, c.column = append(out, b), c.column+1
		}
	}
	return out
}

// A waiting reads what the client sends, and waits at most the time-out for it.
type waiting struct{ c *conn }

// Read waits at most the time-out. Once the server drains, it waits only for a
// message that has begun. After an error it hangs up, or go-smtp would take the
// rest of a message that came too late for commands.
func (w waiting) Read(p []byte) (int, error) {
	c := w.c
	err := c.beginWait()
	n := 0
	if err == nil {
		n, err = c.Conn.Read(p)
	}
	c.endWait()
	if err != nil {
		c.hangUp()
	}
	return n, err
}

func (c *conn) beginWait() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = c.until.IsZero()
	deadline := time.Now().Add(c.server.o.Timeout)
	switch {
	case c.until.IsZero() && c.server.draining.Load():
		deadline = time.Now()
	case !c.until.IsZero() && deadline.After(c.until):
		deadline = c.until
	}
	return c.Conn.SetReadDeadline(deadline)
}

func (c *conn) endWait() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = false
}

// begin notes that a message begins; end notes that the transaction is over.
func (c *conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Now().Add(messageWaits * c.server.o.Timeout)
}

func (c *conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.until.IsZero() { // else there was no message
		c.until, c.since = time.Time{}, time.Now()
	}
}

// drain ends a wait for a command: Read returns the error.
func (c *conn) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.until.IsZero() {
		_ = c.Conn.SetReadDeadline(time.Now())
	}
}

// idle returns since when a client that is waited for has sent no message. It
// reports false for a client that is served.
func (c *conn) idle() (since time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.since, c.waiting
}

// hangUp makes the reply that is being written the last.
func (c *conn) hangUp() { c.hungUp.Store(true) }

// Close implements net.Conn.
func (c *conn) Close() error {
	c.server.forget(c)
	return c.Conn.Close()
}
