package faultproxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"permalink-milter/registry/registrytest/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a server that sends everything back.
func echo(t *testing.T) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				io.Copy(c, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func start(t *testing.T) *faultproxy.Proxy {
	t.Helper()
	p, err := faultproxy.Start(t.Context(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// A client asks one line at a time.
type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *faultproxy.Proxy) *client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &client{c, bufio.NewReader(c)}
}

// ask sends a line and returns what comes back within the wait.
func (c *client) ask(line string, wait time.Duration) (string, error) {
	c.SetDeadline(time.Now().Add(wait))
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		return "", err
	}
	return c.answer(wait)
}

func (c *client) answer(wait time.Duration) (string, error) {
	c.SetDeadline(time.Now().Add(wait))
	got, err := c.r.ReadString('\n')
	return strings.TrimSuffix(got, "\n"), err
}

const (
	long  = 20 * time.Second      // more than any answer takes
	brief = 50 * time.Millisecond // for an answer that must not come
)

func wantAnswer(t *testing.T, c *client, line string) {
	t.Helper()
	if got, err := c.ask(line, long); got != line || err != nil {
		t.Errorf("asked %q, got %q, %v", line, got, err)
	}
}

func wantReset(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v, want a reset", err)
	}
}

// wantRefused dials; the reset may come while dialling or after.
func wantRefused(t *testing.T, p *faultproxy.Proxy) {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err == nil {
		defer c.Close()
		_, err = c.Read(make([]byte, 1))
	}
	wantReset(t, err)
}

func TestPassCarriesBothWaysAndTheEnd(t *testing.T) {
	c := dial(t, start(t))
	wantAnswer(t, c, "one")
	wantAnswer(t, c, strings.Repeat("x", 100_000))
	c.Conn.(*net.TCPConn).CloseWrite()
	if _, err := c.answer(long); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestRefuseResetsOldAndNew(t *testing.T) {
	p := start(t)
	old := dial(t, p)
	wantAnswer(t, old, "one")
	p.Set(faultproxy.Refuse)
	_, err := old.ask("two", long)
	wantReset(t, err)
	wantRefused(t, p)
	p.Set(faultproxy.Pass)
	wantAnswer(t, dial(t, p), "three")
}

func TestBlackHoleAcceptsAndStaysSilentUntilItEnds(t *testing.T) {
	p := start(t)
	old := dial(t, p)
	wantAnswer(t, old, "one")
	p.Set(faultproxy.BlackHole)
	fresh := dial(t, p)
	for _, c := range []*client{old, fresh} {
		if got, err := c.ask("late", brief); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("answered %q, %v", got, err)
		}
	}
	p.Set(faultproxy.Pass)
	for _, c := range []*client{old, fresh} {
		if got, err := c.answer(long); got != "late" || err != nil {
			t.Errorf("afterwards: %q, %v", got, err)
		}
	}
}

func TestDelayHoldsBackBothDirections(t *testing.T) {
	p := start(t)
	c := dial(t, p)
	p.Set(faultproxy.Delay(brief))
	begin := time.Now()
	wantAnswer(t, c, "one")
	if took := time.Since(begin); took < 2*brief {
		t.Errorf("answered after %v, two delays are %v", took, 2*brief)
	}
	p.Set(faultproxy.Delay(time.Hour))
	if got, err := c.ask("two", brief); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("answered %q, %v", got, err)
	}
}

func TestCutAfterEndsInTheMiddleOfAReply(t *testing.T) {
	p := start(t)
	old := dial(t, p)
	wantAnswer(t, old, "before")
	p.Set(faultproxy.CutAfter(len("ping\npi")))
	for _, c := range []*client{old, dial(t, p)} {
		got, err := c.ask("ping", long)
		if got != "pi" {
			t.Errorf("got %q before the cut", got)
		}
		wantReset(t, err)
	}
}

func TestCutEndsTheConnectionsThatAreThere(t *testing.T) {
	p := start(t)
	first, second := dial(t, p), dial(t, p)
	wantAnswer(t, first, "one")
	wantAnswer(t, second, "one")
	if n := p.Cut(); n != 2 {
		t.Errorf("%d were cut, want 2", n)
	}
	for _, c := range []*client{first, second} {
		_, err := c.answer(long)
		wantReset(t, err)
	}
	wantAnswer(t, dial(t, p), "two")
}

func TestTargetThatIsDownResetsTheClient(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	p, err := faultproxy.Start(t.Context(), ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	wantRefused(t, p)
}

func TestCloseEndsConnectionsInEveryMode(t *testing.T) {
	for name, mode := range map[string]faultproxy.Mode{"pass": faultproxy.Pass, "black hole": faultproxy.BlackHole, "delay": faultproxy.Delay(time.Hour)} {
		t.Run(name, func(t *testing.T) {
			p := start(t)
			c := dial(t, p)
			wantAnswer(t, c, "one")
			p.Set(mode)
			c.Write([]byte("two\n"))
			p.Close()
			if got, err := c.answer(long); err == nil && got != "two" {
				t.Errorf("got %q", got)
			}
		})
	}
}
