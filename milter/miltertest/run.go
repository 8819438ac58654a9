package miltertest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// patience bounds one wait for a reply.
const patience = 10 * time.Second

// A runner plays a script on a connection.
type runner struct {
	conn   net.Conn
	r      *bufio.Reader
	split  int
	joined bool
	held   []byte // packets that wait to leave in one write
}

// Run plays the script on a connection, which must be a TCP or unix one, and closes it. Its error names the line whose
// reply did not come.
func (s *Script) Run(ctx context.Context, conn net.Conn) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := &runner{conn: conn, r: bufio.NewReader(conn)}
	for _, st := range s.steps {
		if err := r.step(st); err != nil {
			return at(st.line, err)
		}
	}
	return r.finish()
}

func (r *runner) step(st step) error {
	if st.split >= 0 {
		r.split = st.split
	}
	r.joined = r.joined || st.join
	for range st.times {
		r.held = append(r.held, st.send...)
		if !r.joined {
			// A milter that has ended the connection shows at the next expect.
			r.flush()
		}
	}
	if st.stall > 0 {
		r.flush()
		time.Sleep(st.stall)
	}
	if st.expect == "" {
		return nil
	}
	r.flush()
	got, err := r.reply()
	if err != nil {
		return fmt.Errorf("want %s: %w", st.expect, err)
	}
	if got != st.expect {
		return fmt.Errorf("got %s, want %s", got, st.expect)
	}
	return nil
}

func (r *runner) flush() {
	for len(r.held) > 0 {
		n := len(r.held)
		if r.split > 0 {
			n = min(n, r.split)
		}
		if _, err := r.conn.Write(r.held[:n]); err != nil {
			r.held = nil
			return
		}
		r.held = r.held[n:]
	}
}

// reply returns the next reply, or "close".
func (r *runner) reply() (string, error) {
	if err := r.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	p, err := Read(r.r)
	if ended(err) {
		return "close", nil
	}
	return p.String(), err
}

// ended reports whether an error means that the other side has ended the connection. It is a reset when it had not read all.
func ended(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// finish closes the MTA's side and checks that no reply is left.
func (r *runner) finish() error {
	r.flush()
	if err := closeWrite(r.conn); err != nil && !errors.Is(err, syscall.ENOTCONN) {
		return err
	}
	got, err := r.reply()
	if err != nil {
		return fmt.Errorf("at the end: %w", err)
	}
	if got != "close" {
		return fmt.Errorf("at the end: a reply too many: %s", got)
	}
	return nil
}

func closeWrite(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("%T cannot be closed on one side", conn)
	}
	return half.CloseWrite()
}

// Play sends a stream in pieces of at most split bytes (0: in one), closes the MTA's side, and returns all that came
// back until the milter ended the connection.
func Play(ctx context.Context, conn net.Conn, stream []byte, split int) ([]Packet, error) {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	r := &runner{conn: conn, r: bufio.NewReader(conn), split: split, held: stream}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		r.flush()
		// A milter that has ended the connection is not an error.
		_ = closeWrite(conn)
	}()
	defer func() { <-sent }()
	var replies []Packet
	for {
		p, err := Read(r.r)
		if ended(err) {
			return replies, nil
		}
		if err != nil {
			return replies, errors.Join(err, ctx.Err())
		}
		replies = append(replies, p)
	}
}
