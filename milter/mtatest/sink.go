package mtatest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"
)

// Sink is an SMTP server that keeps every message as it came. It offers PIPELINING, 8BITMIME and SMTPUTF8 (RFC 2920,
// 6152, 6531) and takes any address.
type Sink struct {
	listener net.Listener
	sessions sync.WaitGroup

	mu       sync.Mutex
	conns    map[net.Conn]bool
	messages []Message
	arrived  chan struct{} // closed and replaced with each message
	refuse   int
	refused  int
}

// StartSink listens on a free port of 127.0.0.1 until Stop, or until ctx is done.
func StartSink(ctx context.Context) (*Sink, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start the sink: %w", err)
	}
	s := &Sink{listener: ln, conns: map[net.Conn]bool{}, arrived: make(chan struct{})}
	s.sessions.Go(s.serve)
	context.AfterFunc(ctx, s.close)
	return s, nil
}

// Addr is the sink's host:port.
func (s *Sink) Addr() string { return s.listener.Addr().String() }

// Stop ends the sink and its sessions. What came stays readable.
func (s *Sink) Stop() {
	s.close()
	s.sessions.Wait()
}

// Refuse makes the sink answer 451 to the next n messages after it has read them; a negative n goes on until the
// next call.
func (s *Sink) Refuse(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = n
}

// Refused counts the messages that were answered with 451.
func (s *Sink) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Messages returns what has come since the start or the last Reset, in order of arrival.
func (s *Sink) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Reset forgets the messages that have come.
func (s *Sink) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = nil
}

// Wait returns all messages as soon as there are n or more.
func (s *Sink) Wait(ctx context.Context, n int) ([]Message, error) {
	for {
		s.mu.Lock()
		got, arrived := len(s.messages), s.arrived
		s.mu.Unlock()
		if got >= n {
			return s.Messages(), nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return s.Messages(), fmt.Errorf("the sink has %d of %d messages: %w", got, n, ctx.Err())
		}
	}
}

func (s *Sink) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.track(conn) {
			conn.Close()
			return
		}
		s.sessions.Go(func() {
			defer s.untrack(conn)
			(&sinkSession{sink: s, r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriter(conn)}).run()
		})
	}
}

// track reports false when the sink has been closed.
func (s *Sink) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return false
	}
	s.conns[conn] = true
	return true
}

func (s *Sink) untrack(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
	conn.Close()
}

func (s *Sink) close() {
	s.listener.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
	s.conns = nil
}

// take keeps the message, or reports false when it is to be refused.
func (s *Sink) take(m Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != 0 {
		s.refuse = max(s.refuse-1, -1)
		s.refused++
		return false
	}
	s.messages = append(s.messages, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
	return true
}

type sinkSession struct {
	sink *Sink
	r    *bufio.Reader
	w    *bufio.Writer
	msg  Message
}

func (c *sinkSession) run() {
	c.reply("220 sink.example.org ESMTP")
	for {
		// One write for all commands of a pipelined group (RFC 2920, section 3.2).
		if c.r.Buffered() == 0 && c.w.Flush() != nil {
			return
		}
		line, err := c.r.ReadString('\n')
		if err != nil || !c.handle(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

// handle answers one command and reports whether the session goes on.
func (c *sinkSession) handle(line string) bool {
	verb, rest, _ := strings.Cut(line, " ")
	switch strings.ToUpper(verb) {
	case "EHLO":
		c.reply("250-sink.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SMTPUTF8")
	case "MAIL":
		c.msg = Message{}
		c.msg.From, c.msg.Params = parsePath(rest)
		c.reply("250 2.1.0 Ok")
	case "RCPT":
		to, _ := parsePath(rest)
		c.msg.To = append(c.msg.To, to)
		c.reply("250 2.1.5 Ok")
	case "DATA":
		return c.data()
	case "QUIT":
		c.reply("221 2.0.0 Bye")
		c.w.Flush()
		return false
	case "RSET":
		c.msg = Message{}
		c.reply("250 2.0.0 Ok")
	case "HELO", "NOOP":
		c.reply("250 2.0.0 Ok")
	default:
		c.reply("502 5.5.2 Unknown command")
	}
	return true
}

func (c *sinkSession) data() bool {
	c.reply("354 End data with <CR><LF>.<CR><LF>")
	if c.w.Flush() != nil {
		return false
	}
	data, err := readData(c.r)
	if err != nil {
		return false
	}
	c.msg.Data, c.msg.Received = data, time.Now()
	if c.sink.take(c.msg) {
		c.reply("250 2.0.0 Ok")
	} else {
		c.reply("451 4.3.0 The sink refuses for now")
	}
	c.msg = Message{}
	return true
}

func (c *sinkSession) reply(text string) {
	// The next Flush reports the error.
	_, _ = c.w.WriteString(text + "\r\n")
}

// readData reads up to the line with a single dot and undoes dot-stuffing (RFC 5321, section 4.5.2). Everything else
// stays as it is, a bare CR or LF too.
func readData(r *bufio.Reader) ([]byte, error) {
	data := []byte{}
	atLineStart := true
	for {
		part, err := r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return nil, err
		}
		if atLineStart && string(part) == ".\r\n" {
			return data, nil
		}
		if atLineStart && part[0] == '.' {
			part = part[1:]
		}
		data = append(data, part...)
		atLineStart = bytes.HasSuffix(data, []byte("\r\n"))
	}
}

// parsePath takes "FROM:<a@b> PARAM ..." apart (RFC 5321, section 4.1.2); a quoted local part may hold '>' or spaces.
func parsePath(arg string) (addr string, params []string) {
	_, arg, _ = strings.Cut(arg, ":")
	arg = strings.TrimPrefix(strings.TrimSpace(arg), "<")
	quoted := false
	for i := 0; i < len(arg); i++ {
		switch {
		case arg[i] == '\\':
			i++
		case arg[i] == '"':
			quoted = !quoted
		case arg[i] == '>' && !quoted:
			return arg[:i], strings.Fields(arg[i+1:])
		}
	}
	return arg, nil
}
