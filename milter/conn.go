package milter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	gomilter "github.com/emersion/go-milter"
)

const (
	// negotiationWait bounds the time from connect to the first packet.
	negotiationWait = 10 * time.Second
	// writeWait bounds one write to an MTA that does not read.
	writeWait = 30 * time.Second
	// maxPacket is libmilter's limit. A session keeps a buffer of at most
	// keptPacket between packets.
	maxPacket, keptPacket = 1 << 20, 128 << 10
)

// errDraining ends a session between messages when the server shuts down or
// another connection needs its slot.
var errDraining = errors.New("the session ends between messages")

// A conn reads packets from an MTA and buffers the replies to it. Replies are
// sent when the next read would block, so that a pipelined message costs one
// write.
type conn struct {
	net.Conn
	r *bufio.Reader // over waiter
	w *bufio.Writer // over boundedWriter

	packet bytes.Buffer // the last long packet's data
	until  time.Time    // the deadline of the packet being read; zero until a read has to wait
	idle   time.Duration

	draining    *atomic.Bool
	busy        atomic.Bool  // a message is in progress
	idleSince   atomic.Int64 // when the last message ended, in Unix nanoseconds
	silentSince atomic.Int64 // when the MTA was last waited for
	dropped     atomic.Bool  // another connection needs the slot
	acknowledge func()       // see acknowledger
	log         *slog.Logger
}

// newConn wraps an accepted connection.
func newConn(nc net.Conn, s *Server, log *slog.Logger) *conn {
	c := &conn{Conn: nc, idle: s.o.IdleTimeout, draining: &s.draining, log: log, acknowledge: acknowledger(nc)}
	c.r = bufio.NewReaderSize(waiter{c}, readRoom)
	c.w = bufio.NewWriterSize(boundedWriter{nc, s.writeWait}, writeRoom)
	c.rest()
	return c
}

// rest marks the end of a message.
func (c *conn) rest() {
	c.idleSince.Store(time.Now().UnixNano())
	c.busy.Store(false)
}

// waitedSince returns since when the MTA has sent nothing in a message, or no
// message.
func (c *conn) waitedSince(inMessage bool) int64 {
	if inMessage {
		return c.silentSince.Load()
	}
	return c.idleSince.Load()
}

// next reads a packet. Its data is valid until the next call. Its memory grows
// with the bytes that have arrived, not with the length that the packet states.
func (c *conn) next() (gomilter.Code, []byte, error) {
	c.until = time.Time{}
	head, err := c.r.Peek(5)
	if err != nil {
		if len(head) > 0 {
			err = brokeOff(err)
		}
		return 0, nil, err
	}
	size, code := binary.BigEndian.Uint32(head), gomilter.Code(head[4])
	if size == 0 || size > maxPacket {
		return 0, nil, fmt.Errorf("milter packet of %d bytes: 1 to %d are allowed", size, maxPacket)
	}
	if all := 4 + int(size); all <= c.r.Size() {
		packet, err := c.r.Peek(all)
		if err != nil {
			return 0, nil, brokeOff(err)
		}
		c.r.Discard(all)
		return code, packet[5:], nil
	}
	data, err := c.long(int64(size) - 1)
	return code, data, err
}

// long reads the data of a packet that the read buffer has no room for.
func (c *conn) long(size int64) ([]byte, error) {
	c.r.Discard(5)
	if c.packet.Cap() > keptPacket {
		c.packet = bytes.Buffer{}
	}
	c.packet.Reset()
	switch n, err := c.packet.ReadFrom(io.LimitReader(c.r, size)); {
	case err != nil:
		return nil, brokeOff(err)
	case n < size:
		return nil, brokeOff(io.ErrUnexpectedEOF)
	}
	return c.packet.Bytes(), nil
}

func brokeOff(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("packet broke off: %w", err)
}

// lastWait is how long a connection that is to end waits for what is on its way.
const lastWait = 20 * time.Millisecond

// A waiter reads for the read buffer. A read here means that nothing is
// buffered, so it sends the replies first, and bounds the wait.
type waiter struct{ *conn }

func (c waiter) Read(p []byte) (int, error) {
	if err := c.w.Flush(); err != nil {
		return 0, fmt.Errorf("reply to MTA: %w", err)
	}
	c.acknowledge()
	if c.until.IsZero() {
		now := time.Now()
		c.silentSince.Store(now.UnixNano())
		c.until = now.Add(c.idle)
	}
	c.SetReadDeadline(c.until)
	if c.dropped.Load() || c.draining.Load() && !c.busy.Load() {
		c.SetReadDeadline(time.Now()) // it was told to end before the line above
	}
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.busy.Load() && (c.draining.Load() || c.dropped.Load()) {
		n, err = c.lastRead(p)
	}
	if n > 0 {
		c.dropped.Store(false) // it came back before it was gone
	}
	return n, err
}

// lastRead reads what an MTA has sent already, such as the beginning of a
// message: it does not wait for a reply to that.
func (c waiter) lastRead(p []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(lastWait))
	n, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errDraining
	}
	return n, err
}

// A boundedWriter bounds how long a write waits for the MTA to read.
type boundedWriter struct {
	net.Conn
	wait time.Duration
}

func (w boundedWriter) Write(p []byte) (int, error) {
	w.SetWriteDeadline(time.Now().Add(w.wait))
	return w.Conn.Write(p)
}

// reply buffers a packet. The next flush reports its error.
func (c *conn) reply(code byte, parts ...string) {
	size := 1
	for _, p := range parts {
		size += len(p)
	}
	head := binary.BigEndian.AppendUint32(c.w.AvailableBuffer(), uint32(size))
	_, _ = c.w.Write(append(head, code))
	for _, p := range parts {
		_, _ = c.w.WriteString(p)
	}
}

// end sends what is buffered, closes the connection, and logs why it ended
// unless that is as it should be.
func (c *conn) end(err error) {
	if flushErr := c.w.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("reply to MTA: %w", flushErr)
	}
	c.Conn.Close()
	switch {
	case err == nil, errors.Is(err, errDraining), errors.Is(err, net.ErrClosed):
	case errors.Is(err, io.EOF) && !c.busy.Load():
	default:
		c.log.Warn("connection ended", "error", err, "in_message", c.busy.Load())
	}
}
