package lmtp

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestSlowClients(t *testing.T) {
	s := start(t, func(o *Options) { o.Timeout = 60 * time.Millisecond })
	idle, slow := s.dial(t), s.dial(t)
	idle.line()
	slow.begin(t, "a@example.org")
	slow.talk(recipient1, "DATA")
	expect(t, idle.line(), "421 4.4.2")
	// A byte now and then keeps a wait from ending, but not the message.
	begun := time.Now()
	for err := error(nil); err == nil && time.Since(begun) < 20*time.Second; time.Sleep(20 * time.Millisecond) {
		_, err = io.WriteString(slow, "NOOP\r\n")
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("a message of one byte at a time was taken for %v", took)
	}
	expect(t, slow.line(), "451 4.3.2")
	if got := slow.line(); strings.HasPrefix(got, "250 ") {
		t.Errorf("the rest of the message is taken as commands: %s", got)
	}
}

// Whether it said LHLO or began a transaction does not matter: a client that
// sends no message gives way, and the one that has sent none for the longest
// time goes first.
func TestIdleClientsGiveWay(t *testing.T) {
	s := start(t, nil)
	var clients []raw
	for _, prepare := range []func(raw){
		func(c raw) { c.talk("LHLO c", "RSET") },
		func(c raw) { c.begin(t, "a@example.org") },
		func(c raw) { io.WriteString(c, "LHLO") },
	} {
		c := s.dial(t)
		prepare(c)
		clients = append(clients, c)
	}
	last := s.dial(t)
	expect(t, last.line(), "220 ")
	s.server.DropIdlest() // too early
	time.Sleep(minIdle + minIdle/10)
	for i, c := range clients {
		s.server.DropIdlest()
		if text, err := io.ReadAll(c.r); err != nil || i < 2 && !strings.HasSuffix(string(text), "421 4.4.2 Idle timeout, bye bye\r\n") {
			t.Errorf("client %d: %q, %v", i, text, err)
		}
	}
	last.talk("LHLO c", "MAIL FROM:<a@example.org>", recipient1, "DATA")
	s.waitForMessage(t)
	s.server.DropIdlest()
	expect(t, last.talk(message1(aliceID) + ".")[0], "250 2.1.5 ")
}

// A line that a client did not end is no command, though go-smtp takes it for one.
func TestHalfACommandIsNotExecuted(t *testing.T) {
	s := start(t, nil)
	for _, half := range []string{recipient1, "BDAT 5 LAST\r\nhello" + recipient1} {
		c := s.dial(t)
		c.begin(t, "a@example.org")
		io.WriteString(c, half)
		if err := c.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(c.r); err != nil || strings.Contains(string(text), "I'll make sure") {
			t.Errorf("%q: %q, %v", half, text, err)
		}
	}
	if held, err := s.registry.LookupHash(t.Context(), devel, hash); err != nil || len(held) != 0 {
		t.Errorf("reserved: %v, %v", held, err)
	}
}

func TestShutdownLetsTheMessageEnd(t *testing.T) {
	s := start(t, nil)
	idle, busy := s.dial(t), s.dial(t)
	idle.begin(t, "a@example.org")
	busy.begin(t, "a@example.org")
	busy.talk(recipient1, "DATA")
	text := message1(aliceID)
	io.WriteString(busy, text[:50])
	s.waitForMessage(t)
	down := make(chan error, 1)
	go func() { down <- s.server.Shutdown(context.Background()) }()
	expect(t, idle.line(), "421 ")
	expect(t, busy.talk(text[50:] + ".")[0], "250 2.1.5 <"+hash)
	expect(t, busy.line(), "421 ")
	if err := <-down; err != nil {
		t.Error(err)
	}
	if got := stored(t, s.devel); len(got) != 1 {
		t.Errorf("%d messages are stored", len(got))
	}
}

// waitForMessage returns when a message has begun.
func (s site) waitForMessage(t *testing.T) {
	t.Helper()
	begun := false
	for end := time.Now().Add(20 * time.Second); !begun && time.Now().Before(end); time.Sleep(time.Millisecond) {
		s.server.each(func(c *conn) {
			c.mu.Lock()
			defer c.mu.Unlock()
			begun = begun || !c.until.IsZero()
		})
	}
	if !begun {
		t.Fatal("no message begins")
	}
}

func TestShutdownCutsAClientThatStops(t *testing.T) {
	s := start(t, nil)
	c := s.dial(t)
	c.begin(t, "a@example.org")
	c.talk(recipient1, "DATA")
	io.WriteString(c, message1(aliceID))
	s.waitForMessage(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if got := stored(t, s.devel); len(got) != 0 {
		t.Errorf("half a message is stored: %q", got)
	}
	if held, err := s.registry.LookupHash(t.Context(), devel, hash); err != nil || len(held) != 0 {
		t.Errorf("reserved: %v, %v", held, err)
	}
}

func TestServingAfterShutdown(t *testing.T) {
	s := start(t, nil)
	if err := s.server.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.server.Serve(ln); !errors.Is(err, ErrServerClosed) {
		t.Error(err)
	}
}
