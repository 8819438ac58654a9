package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"permalink-milter/milter/mtatest/output"
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

func TestConnectionsOverTheLimitWait(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxConnections = 1 })
	first, second := s.dial(t), s.dial(t)
	expect(t, first.line(), "220 ")
	second.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if got := second.line(); got != "" {
		t.Fatalf("a second connection was served: %s", got)
	}
	first.talk("QUIT")
	second.SetReadDeadline(time.Now().Add(20 * time.Second))
	expect(t, second.line(), "220 ")
}

// Whether it said LHLO or began a transaction does not matter: a client that
// sends no message gives way.
func TestIdleClientsGiveWay(t *testing.T) {
	const idle = 100
	s := start(t, func(o *Options) { o.MaxConnections = idle })
	clients := make([]raw, idle)
	for i := range clients {
		clients[i] = s.dial(t)
		switch i % 3 {
		case 0:
			clients[i].line()
		case 1:
			clients[i].begin(t, "a@example.org")
		case 2:
			io.WriteString(clients[i], "LHLO")
			clients[i].line()
		}
	}
	clients[0].talk("LHLO c", "RSET")
	for n := range 5 {
		begun := time.Now()
		if _, err := Deliver(t.Context(), request(s.addr), strings.NewReader(withBody(fmt.Sprint(n)))); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("the message took %v", took)
		}
	}
	// The first that came gave way.
	clients[0].SetReadDeadline(time.Now().Add(5 * time.Second))
	expect(t, clients[0].line(), "421 ")
}

func TestClientThatSendsAMessageKeepsItsConnection(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxConnections = 1 })
	c := s.dial(t)
	c.begin(t, "a@example.org")
	c.talk(recipient1, "DATA")
	other := make(chan error, 1)
	go func() {
		_, err := Deliver(t.Context(), request(s.addr), strings.NewReader(message1(bobID)))
		other <- err
	}()
	time.Sleep(minIdle + minIdle/2)
	expect(t, c.talk(message1(aliceID) + ".")[0], "250 2.1.5 ")
	if err := <-other; err != nil {
		t.Error(err)
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

// A flood of clients is no flood in the log.
func TestAFullServerIsLoggedOnceAMinute(t *testing.T) {
	var log output.Buffer
	s := start(t, func(o *Options) { o.MaxConnections, o.Log = 1, slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		expect(t, s.dial(t).line(), "220 ")
	}
	if n := strings.Count(log.String(), "all LMTP connections are in use"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}
