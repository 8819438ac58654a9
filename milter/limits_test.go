package milter_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
	"permalink-milter/milter"
	"permalink-milter/registry"
)

// The connection that has been idle the longest goes first, and none in the
// middle of a message.
func TestIdleConnectionsGiveWay(t *testing.T) {
	s := newRunning(t, nil)
	s.SetMinIdle(50 * time.Millisecond)
	s.serve(t, listen(t))
	inMessage := dialOffering(t, s.addr, 0)
	if _, err := inMessage.Mail("a@example.org", nil); err != nil {
		t.Fatal(err)
	}
	first, second := raw(t, s.addr), raw(t, s.addr)
	s.DropIdlest() // too early
	time.Sleep(60 * time.Millisecond)
	s.DropIdlest()
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the first: %v", err)
	}
	second.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the second: %v", err)
	}
	s.DropIdlest()
	s.DropIdlest()
	if _, err := inMessage.Rcpt("devel@lists.example.org", nil); err != nil {
		t.Errorf("the message in progress was cut off: %v", err)
	}
	inMessage.Close()
}

// A client that begins a message and then sends nothing gives way, too, but
// later, and only where no other does.
func TestMessagesThatStandStillGiveWay(t *testing.T) {
	s := newRunning(t, nil)
	s.SetMinIdle(50 * time.Millisecond)
	s.SetMinSilent(100 * time.Millisecond)
	s.serve(t, listen(t))
	silent := dialOffering(t, s.addr, 0)
	defer silent.Close()
	if _, err := silent.Mail("a@example.org", nil); err != nil {
		t.Fatal(err)
	}
	idle := raw(t, s.addr)
	time.Sleep(150 * time.Millisecond)
	s.DropIdlest()
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle one: %v", err)
	}
	s.DropIdlest()
	if _, err := silent.Rcpt("devel@lists.example.org", nil); err == nil {
		t.Error("the silent one is still served")
	}
	s.untilFree(t)
	s.checkLog(t, "in_message=true")
}

// raw negotiates over a connection of its own.
func raw(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, negotiation); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4)
	if _, err := io.ReadFull(c, head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head))); err != nil {
		t.Fatal(err)
	}
	return c
}

// pipes is a listener of one connection without any buffer, so that a client that does not read is felt at once.
type pipes struct{ conns chan net.Conn }

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error {
	defer func() { _ = recover() }() // it is closed twice: by Shutdown and by Serve
	close(p.conns)
	return nil
}

func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func TestClientThatDoesNotReadIsLeft(t *testing.T) {
	s := newRunning(t, nil)
	s.SetWaits(time.Minute, 50*time.Millisecond)
	ln := pipes{make(chan net.Conn)}
	s.serve(t, ln)
	client, server := net.Pipe()
	defer client.Close()
	ln.conns <- server
	if _, err := io.WriteString(client, negotiation); err != nil {
		t.Fatal(err)
	}
	s.untilFree(t)
	s.checkLog(t, "reply to MTA: ")
}

// negotiation offers version 6 and all that there is.
const negotiation = "\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff"

func TestEachWriteHasItsOwnDeadline(t *testing.T) {
	s := newRunning(t, func(o *milter.Options) { o.MaxHeaderFields = 1000 })
	s.SetWaits(time.Minute, 100*time.Millisecond)
	s.serve(t, listen(t))
	session := dial(t, s.addr)
	time.Sleep(200 * time.Millisecond) // past the deadline of the negotiation's reply
	header := append(hashheader.Header{}, first...)
	for range 500 { // whose deletions are more than the buffer holds
		header = append(header, hashheader.Field{Name: "Message-ID-MD5", Value: "FORGED"})
	}
	if got := send(t, session, header); len(got) != 502 {
		t.Errorf("%d edits", len(got))
	}
}

func TestNobodyNegotiates(t *testing.T) {
	s := newRunning(t, nil)
	s.SetWaits(50*time.Millisecond, time.Minute)
	s.serve(t, listen(t))
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error(err)
	}
	s.untilFree(t)
	if got := s.load.refused["no_negotiation"]; got != 1 || len(loud(&s.log)) != 0 {
		t.Errorf("%d refused, log %q; a stranger is no reason for a warning", got, loud(&s.log))
	}
}

func TestIdleSessionEnds(t *testing.T) {
	for name, inMessage := range map[string]bool{"between messages": false, "in a message": true} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(o *milter.Options) { o.IdleTimeout = 50 * time.Millisecond })
			session := dial(t, s.addr)
			if inMessage {
				if _, err := session.Mail("a@example.org", nil); err != nil {
					t.Fatal(err)
				}
			}
			s.untilFree(t)
			s.checkLog(t, fmt.Sprintf("i/o timeout\" in_message=%v", inMessage))
		})
	}
}

// An MTA keeps its connections for the next message, however large the last one was.
func TestIdleSessionsKeepNoMessage(t *testing.T) {
	s := start(t, func(o *milter.Options) { o.MaxHeaderBytes = 1 << 20 })
	long := strings.Repeat("x", 60_000)
	before := heap()
	for range 20 {
		session := dial(t, s.addr)
		if _, err := session.Mail("a@example.org", nil); err != nil {
			t.Fatal(err)
		}
		for range 15 {
			if _, err := session.Rcpt(long, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := session.HeaderField("Archived-At", long); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := session.End(); err != nil {
			t.Fatal(err)
		}
	}
	if kept := heap() - before; kept > 10<<20 {
		t.Errorf("20 idle sessions keep %d MB", kept>>20)
	}
}

// heap returns the bytes that are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestRegistryThatHangsHoldsNoMessage has two lists, whose calls share the message's budget.
func TestRegistryThatHangsHoldsNoMessage(t *testing.T) {
	const budget = 100 * time.Millisecond
	calls := make(chan time.Duration, 3)
	s := start(t, func(o *milter.Options) {
		o.MessageBudget = budget
		o.Reserve = func(ctx context.Context, _ registry.Request) (registry.Result, error) {
			deadline, _ := ctx.Deadline()
			calls <- time.Until(deadline)
			<-ctx.Done()
			return registry.Result{}, ctx.Err()
		}
	})
	session := dial(t, s.addr)
	for _, err := range []error{second(session.Mail("a@example.org", nil)), second(session.Rcpt("x@lists.example.org", nil)),
		second(session.Rcpt("y@lists.example.org", nil)), second(session.HeaderField("To", "x@lists.example.org, y@lists.example.org")), second(session.HeaderField("Message-ID", "<abc@example.org>")),
		second(session.HeaderField("Date", first[1].Value))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	edits, action, err := session.End()
	if err != nil || action.Code != gomilter.ActContinue || len(edits) != 3 {
		t.Errorf("edits %+v, action %v, error %v; want the bare hash on both lists", edits, action, err)
	}
	if len(calls) != 2 {
		t.Fatalf("%d calls", len(calls))
	}
	if given := <-calls + <-calls; given > budget {
		t.Errorf("the calls were given %v, of %v in all", given, budget)
	}
	s.checkLog(t, "context deadline exceeded")
}

func second(_ *gomilter.Action, err error) error { return err }

func TestMessageOverALimitPassesUnmarked(t *testing.T) {
	for name, change := range map[string]func(*milter.Options){
		"fields":                    func(o *milter.Options) { o.MaxHeaderFields = 1 },
		"fields that nobody wanted": func(o *milter.Options) { o.MaxHeaderFields = 2 },
		"bytes":                     func(o *milter.Options) { o.MaxHeaderBytes = 40 },
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, change)
			session := dial(t, s.addr)
			if got := send(t, session, append(slices.Clip(first), hashheader.Field{Name: "X-Other", Value: "1"})); len(got) != 0 {
				t.Errorf("edits %+v", got)
			}
			s.checkLog(t, "reason=header_limit")
			if got := s.load.refused["header_limit"]; got != 1 {
				t.Errorf("%d messages were counted", got)
			}
		})
	}
}

// MTAs do not wait for a reply to MAIL, so a message may have begun that the
// server has not read of.
func TestMessageThatHasJustBegunEndsBeforeTheServer(t *testing.T) {
	for range 100 {
		s := start(t, nil)
		session := dial(t, s.addr)
		if _, err := session.Mail("a@example.org", nil); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(t.Context()) }()
		_, err := session.Rcpt("devel@lists.example.org", nil)
		if err == nil {
			_, err = session.HeaderField("Message-ID", "<abc@example.org>")
		}
		if err == nil {
			_, _, err = session.End()
		}
		if stop := <-ended; err != nil || stop != nil {
			t.Fatalf("message: %v; shutdown: %v", err, stop)
		}
	}
}

func TestShutdown(t *testing.T) {
	for name, tc := range map[string]struct {
		budget time.Duration
		want   error
	}{
		"lets a message in progress end": {5 * time.Second, nil},
		"cuts it off after its budget":   {50 * time.Millisecond, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			// Without no-reply bits, a reply to MAIL tells that the message is in progress.
			session, idle := dialOffering(t, s.addr, 0), dial(t, s.addr)
			defer idle.Close()
			if _, err := session.Mail("a@example.org", nil); err != nil {
				t.Fatal(err)
			}
			if _, err := session.Rcpt("devel@lists.example.org", nil); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), tc.budget)
			defer cancel()
			ended := make(chan error, 1)
			go func() { ended <- s.Shutdown(ctx) }()
			if tc.want != nil {
				<-ctx.Done()
			}
			_, err := session.HeaderField("Message-ID", "<abc@example.org>")
			if err == nil {
				_, _, err = session.End()
			}
			if (err == nil) != (tc.want == nil) {
				t.Errorf("end of message: %v", err)
			}
			if err := <-ended; !errors.Is(err, tc.want) {
				t.Errorf("shutdown: %v, want %v", err, tc.want)
			}
		})
	}
}
