package miltertest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
)

// A Recorder stands between an MTA and a milter on TCP and keeps what passes, for Check, for Play, or as a seed.
type Recorder struct {
	listener net.Listener
	target   string // host:port of the milter
	all      sync.WaitGroup

	mu       sync.Mutex
	sessions []Session
}

// A Session is one connection of an MTA that has ended.
type Session struct {
	Stream  []byte // what the MTA sent
	Replies []Packet
}

// Record listens on a free port of 127.0.0.1, for a milter at host:port, until ctx is done.
func Record(ctx context.Context, target string) (*Recorder, error) {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("record milter sessions: %w", err)
	}
	r := &Recorder{listener: ln, target: target}
	r.all.Go(func() { r.serve(ctx) })
	context.AfterFunc(ctx, func() { ln.Close() })
	return r, nil
}

// Addr is the host:port for the MTA.
func (r *Recorder) Addr() string { return r.listener.Addr().String() }

// Sessions returns those that have ended, in the order of their ends.
func (r *Recorder) Sessions() []Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.sessions)
}

// Close ends the listener and waits for the sessions to end.
func (r *Recorder) Close() {
	r.listener.Close()
	r.all.Wait()
}

func (r *Recorder) serve(ctx context.Context) {
	for {
		mta, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.all.Go(func() { r.session(ctx, mta.(*net.TCPConn)) })
	}
}

func (r *Recorder) session(ctx context.Context, mta *net.TCPConn) {
	defer mta.Close()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", r.target)
	if err != nil {
		return // the MTA sees what it would see
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { mta.Close(); conn.Close() })()
	milter := conn.(*net.TCPConn)
	var sent, got bytes.Buffer
	var both sync.WaitGroup
	both.Go(func() { pass(milter, mta, &sent) })
	both.Go(func() { pass(mta, milter, &got) })
	both.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions = append(r.sessions, Session{sent.Bytes(), packets(&got)})
}

// pass copies one direction to its end. An error ends it as the end of the data does.
func pass(to, from *net.TCPConn, kept io.Writer) {
	_, _ = io.Copy(io.MultiWriter(to, kept), from)
	_ = to.CloseWrite()
}

func packets(r io.Reader) (out []Packet) {
	for {
		p, err := Read(r)
		if err != nil {
			return out
		}
		out = append(out, p)
	}
}
