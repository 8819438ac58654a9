package milter_test

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"permalink-milter/milter"
	"permalink-milter/milter/mtatest/output"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp/stamptest"
)

// A running server is one that a test serves, with what it counts and logs.
type running struct {
	*milter.Server
	addr string
	log  output.Buffer
	load counter
}

// counter implements milter.Observer.
type counter struct {
	mu      sync.Mutex
	open    int
	refused map[string]int
}

func (c *counter) Connection(delta int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open += delta
}

func (c *counter) Refused(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused[reason]++
}

func (*counter) Message(string, time.Duration)     {}
func (*counter) Reservation(string, time.Duration) {}

func (c *counter) isFree() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.open == 0
}

// loud returns the lines above level info.
func loud(log *output.Buffer) (lines []string) {
	for line := range strings.Lines(log.String()) {
		if !strings.Contains(line, "level=INFO") {
			lines = append(lines, line)
		}
	}
	return lines
}

// serve starts a server and returns its address.
func serve(t *testing.T, change func(*milter.Options)) string {
	t.Helper()
	return start(t, change).addr
}

// start starts a server on TCP.
func start(t *testing.T, change func(*milter.Options)) *running {
	t.Helper()
	s := newRunning(t, change)
	s.serve(t, listen(t))
	return s
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func newRunning(t *testing.T, change func(*milter.Options)) *running {
	t.Helper()
	s := &running{load: counter{refused: make(map[string]int)}}
	o := milter.Options{Policy: stamptest.Policy(t, nil), Reserve: registry.New(memreg.New(), registry.Options{}).Reserve,
		Log: slog.New(slog.NewTextHandler(&s.log, nil)), Observe: &s.load, IdleTimeout: time.Minute,
		MessageBudget: 5 * time.Second, MaxHeaderFields: 100, MaxHeaderBytes: 1 << 20}
	if change != nil {
		change(&o)
	}
	s.Server = milter.NewServer(o)
	return s
}

// serve serves a listener until the test ends.
func (s *running) serve(t *testing.T, ln net.Listener) {
	t.Helper()
	s.addr = ln.Addr().String()
	done := make(chan error)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; err != milter.ErrServerClosed {
			t.Errorf("serve: %v", err)
		}
	})
}

// untilFree waits until the server holds no connection.
func (s *running) untilFree(t *testing.T) {
	t.Helper()
	for range 1000 {
		if s.load.isFree() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("connections are still open")
}

// checkLog wants one line above level info, with this text.
func (s *running) checkLog(t *testing.T, text string) {
	t.Helper()
	if lines := loud(&s.log); len(lines) != 1 || !strings.Contains(lines[0], text) {
		t.Errorf("want one line with %q, got %q", text, lines)
	}
}
