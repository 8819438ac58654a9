package door_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"permalink-milter/cmd/internal/door"
)

var discard = slog.New(slog.DiscardHandler)

// A queue is a listener whose Accept returns what a test puts in.
type queue struct {
	accepts chan any // net.Conn or error
	closed  chan struct{}
}

func newQueue() *queue {
	return &queue{make(chan any, 100), make(chan struct{})}
}

func (q *queue) Accept() (net.Conn, error) {
	select {
	case next := <-q.accepts:
		if err, ok := next.(error); ok {
			return nil, err
		}
		return next.(net.Conn), nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *queue) Close() error {
	close(q.closed)
	return nil
}

func (q *queue) Addr() net.Addr { return &net.UnixAddr{Name: "queue", Net: "unix"} }

func (q *queue) connect() (client net.Conn) {
	client, server := net.Pipe()
	q.accepts <- server
	return client
}

// serve accepts connections into a channel, and the last error.
func serve(ln net.Listener) (<-chan net.Conn, <-chan error) {
	conns, end := make(chan net.Conn, 100), make(chan error, 1)
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				end <- err
				return
			}
			conns <- nc
		}
	}()
	return conns, end
}

func TestConnectionsAreBoundedOverAllListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var waiting atomic.Int64
		d := door.New(door.Options{Service: "http", Max: 2, Log: slog.New(slog.NewTextHandler(&log, nil)),
			Waiting: func() { waiting.Add(1) }})
		one, two := newQueue(), newQueue()
		a, endA := serve(d.Listen(one))
		listener := d.Listen(two)
		b, endB := serve(listener)

		one.connect()
		one.connect()
		first := <-a
		<-a
		late := two.connect()
		synctest.Wait()
		if len(b) != 0 || waiting.Load() != 1 {
			t.Errorf("%d accepted, %d waiting; want 0 and 1", len(b), waiting.Load())
		}
		// A second Close gives back no second slot.
		first.Close()
		first.Close()
		<-b
		two.connect()
		synctest.Wait()
		if len(b) != 0 {
			t.Errorf("%d accepted, want none", len(b))
		}
		if n := strings.Count(log.String(), "all connections are in use"); n != 1 {
			t.Errorf("%d lines in the log, want one a minute:\n%s", n, &log)
		}

		// Close ends an Accept that waits for a slot.
		listener.Close()
		if err := <-endB; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		one.Close()
		<-endA
		late.Close()
	})
}

func TestServerMakesRoomWhileAConnectionWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var idle net.Conn
		calls := 0
		q := newQueue()
		ln := door.New(door.Options{Max: 1, Log: discard, MakeRoom: func() {
			if calls++; calls == 3 {
				idle.Close()
			}
		}}).Listen(q)
		q.connect()
		idle, _ = ln.Accept()
		q.connect()
		begin := time.Now()
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 2*time.Second || calls != 3 {
			t.Errorf("%d calls in %v, want one each second", calls, took)
		}
	})
}

func TestTemporaryErrorsAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		q := newQueue()
		for range 90 {
			q.accepts <- &net.OpError{Op: "accept", Err: syscall.EMFILE}
		}
		q.connect()
		ln := door.New(door.Options{Max: 1, Log: slog.New(slog.NewTextHandler(&log, nil))}).Listen(q)
		begin := time.Now()
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 90*time.Second {
			t.Errorf("90 errors took %v, want a second each", took)
		}
		if n := strings.Count(log.String(), "accept failed"); n != 2 {
			t.Errorf("%d lines in the log, want one a minute:\n%s", n, &log)
		}

		q.accepts <- syscall.ENOBUFS
		_, end := serve(ln)
		synctest.Wait()
		ln.Close()
		if err := <-end; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestOtherErrorsEndAccept(t *testing.T) {
	q := newQueue()
	q.accepts <- syscall.EINVAL
	if _, err := door.New(door.Options{Max: 1, Log: discard}).Listen(q).Accept(); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}
}

// net/http ends a response in this way before it drops the rest of a request.
func TestHalfOfAConnectionCanBeClosed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns, _ := serve(door.New(door.Options{Max: 1, Log: discard}).Listen(ln))
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	nc := <-conns
	defer nc.Close()
	if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := client.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %d bytes, %v; want the end", n, err)
	}
	go client.Write([]byte("x"))
	if n, err := nc.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Errorf("the server reads %d bytes, %v", n, err)
	}
}

// The slot comes back from net/http, also that of a connection that it ends in
// the middle of a request.
func TestHTTPServerBehindADoor(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := door.New(door.Options{Max: 1, Log: discard})
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge) // closes the connection before the body is read
	})}
	end := make(chan error, 1)
	go func() { end <- server.Serve(d.Listen(ln)) }()
	for range 3 {
		r, err := http.Post("http://"+ln.Addr().String(), "text/plain", io.LimitReader(zeros{}, 4<<20))
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(r.Body); err != nil || string(body) != "too large\n" {
			t.Errorf("%q, %v", body, err)
		}
		r.Body.Close()
	}
	if err := server.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-end; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
