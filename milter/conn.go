package milter

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gomilter "github.com/emersion/go-milter"
)

const (
	// negotiationWait bounds the time from connect to the first packet.
	negotiationWait = 10 * time.Second
	// writeWait bounds one flush to an MTA that does not read.
	writeWait = 30 * time.Second
	// maxPacket is the largest packet taken, as libmilter has it.
	maxPacket = 1 << 20
	// The versions of the protocol whose bits we know: Sendmail 8.12 to date.
	minVersion, maxVersion = 2, 6
)

// commands are the codes of packets that an MTA may send.
const commands = "ABCDEHKLMNOQRTU"

// errDraining ends a session between messages when the server shuts down.
var errDraining = errors.New("server is shutting down")

// An offer is what the MTA proposed in its negotiation packet.
type offer struct {
	version  uint32
	actions  gomilter.OptAction
	protocol gomilter.OptProtocol
}

// A conn stands between the MTA's connection and go-milter's session, which
// reads twice a packet, flushes each reply and knows no deadlines. It buffers
// reads, sends replies in one write before it waits for the MTA, checks each
// packet's frame, and swallows replies that the MTA agreed not to get.
type conn struct {
	net.Conn
	r *bufio.Reader
	w *bufio.Writer

	idle     time.Duration // between two packets
	draining *atomic.Bool
	busy     atomic.Bool // a message is in progress
	log      *slog.Logger
	closed   func()
	once     sync.Once

	left    int  // bytes of the packet that are still to be read
	command byte // of that packet
	silent  gomilter.OptProtocol
	version uint32 // to answer in the negotiation
}

// negotiation reads the MTA's first packet and leaves it to be read again.
func (c *conn) negotiation() (o offer, err error) {
	c.SetReadDeadline(time.Now().Add(negotiationWait))
	head, err := c.r.Peek(5)
	if err != nil {
		return o, fmt.Errorf("no milter negotiation: %w", err)
	}
	if n := binary.BigEndian.Uint32(head); n != 13 || head[4] != byte(gomilter.CodeOptNeg) {
		return o, fmt.Errorf("not a milter client: it began with %q", head)
	}
	packet, err := c.r.Peek(4 + 13)
	if err != nil {
		return o, fmt.Errorf("milter negotiation broke off: %w", err)
	}
	o.version = binary.BigEndian.Uint32(packet[5:])
	if o.version < minVersion {
		return o, fmt.Errorf("milter protocol version %d: %d or later is needed", o.version, minVersion)
	}
	o.actions = gomilter.OptAction(binary.BigEndian.Uint32(packet[9:]))
	o.protocol = gomilter.OptProtocol(binary.BigEndian.Uint32(packet[13:]))
	return o, nil
}

// Read implements net.Conn for go-milter, which takes any error but io.EOF to
// its own log: errors are logged here, with the connection's name.
func (c *conn) Read(p []byte) (int, error) {
	if c.left == 0 {
		if err := c.next(); err != nil {
			c.logEnd(err)
			return 0, io.EOF
		}
	}
	if err := c.flushBeforeWait(1); err != nil {
		c.logEnd(err)
		return 0, io.EOF
	}
	n, err := c.r.Read(p[:min(len(p), c.left)])
	c.left -= n
	if err != nil {
		c.logEnd(fmt.Errorf("packet broke off %d bytes before its end: %w", c.left, err))
		return n, io.EOF
	}
	return n, nil
}

// next waits for a packet and checks its frame.
func (c *conn) next() error {
	if err := c.flushBeforeWait(5); err != nil {
		return err
	}
	head, err := c.r.Peek(5)
	if err != nil && len(head) > 0 && errors.Is(err, io.EOF) {
		return fmt.Errorf("packet broke off: %w", io.ErrUnexpectedEOF)
	}
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head)
	if n == 0 || n > maxPacket {
		return fmt.Errorf("milter packet of %d bytes: 1 to %d are allowed", n, maxPacket)
	}
	c.command = head[4]
	if !knownCommand(c.command) {
		return fmt.Errorf("unknown milter command %q", c.command)
	}
	c.left = 4 + int(n)
	return nil
}

func knownCommand(code byte) bool {
	for i := range len(commands) {
		if commands[i] == code {
			return true
		}
	}
	return false
}

// flushBeforeWait sends the replies if fewer than n bytes are there to read
// without waiting, and sets the deadline of the wait.
func (c *conn) flushBeforeWait(n int) error {
	if c.r.Buffered() >= n {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	acknowledge(c.Conn)
	c.SetReadDeadline(time.Now().Add(c.idle))
	if c.draining.Load() && !c.busy.Load() && c.left == 0 {
		return errDraining
	}
	return nil
}

func (c *conn) flush() error {
	if c.w.Buffered() == 0 {
		return nil
	}
	c.SetWriteDeadline(time.Now().Add(writeWait))
	if err := c.w.Flush(); err != nil {
		return fmt.Errorf("reply to MTA: %w", err)
	}
	return nil
}

// Write implements net.Conn for go-milter.
func (c *conn) Write(p []byte) (int, error) {
	if c.silent&noReply(c.command) != 0 {
		return len(p), nil
	}
	if c.command == byte(gomilter.CodeOptNeg) && len(p) >= 9 {
		// go-milter always answers version 2, which has no bits for what it
		// then asks for; strict clients end the session at that.
		p = append([]byte(nil), p...)
		binary.BigEndian.PutUint32(p[5:], c.version)
	}
	return c.w.Write(p)
}

// noReply returns the bit by which an MTA wants no reply to a command.
func noReply(command byte) gomilter.OptProtocol {
	switch gomilter.Code(command) {
	case gomilter.CodeMail:
		return gomilter.OptNoMailReply
	case gomilter.CodeRcpt:
		return gomilter.OptNoRcptReply
	case gomilter.CodeHeader:
		return gomilter.OptNoHeaderReply
	}
	return 0
}

// Close implements net.Conn. It sends what is left to send.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		c.flush()
		err = c.Conn.Close()
		c.closed()
	})
	return err
}

// logEnd logs why a connection ended, unless it ended as it should.
func (c *conn) logEnd(err error) {
	switch {
	case errors.Is(err, errDraining), errors.Is(err, net.ErrClosed):
	case errors.Is(err, io.EOF) && !c.busy.Load() && c.left == 0:
	default:
		c.log.Warn("connection ended", "error", err, "in_message", c.busy.Load())
	}
}
