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
	"strings"
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
	// maxPacket is the largest packet taken, as libmilter has it, and
	// keptPacket what room a session keeps: MTAs send chunks of 64 KB.
	maxPacket, keptPacket = 1 << 20, 128 << 10
	// The versions of the protocol whose bits we know: Sendmail 8.12 to date.
	minVersion, maxVersion = 2, 6
)

// commands are the codes of packets that an MTA may send.
const commands = "ABCDEHKLMNOQRTU"

// Commands that go-milter does not know: the SMTP connection is over and the
// next one goes on in this session (SMFIC_QUIT_NC), and an SMTP command that
// the MTA does not know (SMFIC_UNKNOWN).
const (
	codeQuitNewConn gomilter.Code = 'K'
	codeUnknown     gomilter.Code = 'U'
)

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
// packet's frame, and takes the macros out.
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
	// acknowledge tells the MTA's kernel at once what was read.
	acknowledge func()
	// unwanted tells of a header field that go-milter need not see.
	unwanted func(name []byte) bool

	packet     bytes.Buffer // what go-milter has not read yet of the MTA's last packet
	command    byte         // of that packet
	macros     macros       // not yet noticed
	negotiated bool
	silent     gomilter.OptProtocol
	version    uint32 // to answer in the negotiation
}

// negotiation reads the MTA's first packet and leaves it to be read again.
func (c *conn) negotiation(wait time.Duration) (o offer, err error) {
	c.SetReadDeadline(time.Now().Add(wait))
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

// Read implements net.Conn for go-milter, which takes any error but io.EOF
// between packets to its own log: it gets whole packets, and errors are logged
// here, with the connection's name.
func (c *conn) Read(p []byte) (int, error) {
	if c.packet.Len() == 0 {
		if err := c.next(); err != nil {
			c.logEnd(err)
			return 0, io.EOF
		}
	}
	return c.packet.Read(p)
}

// next waits for a packet that go-milter has to see, and makes it fit for it.
func (c *conn) next() error {
	for c.packet.Len() == 0 {
		n, err := c.frame()
		if err != nil {
			return err
		}
		if c.passOver(n) {
			continue
		}
		if err := c.receive(n); err != nil {
			return brokeOff(err)
		}
		if err := c.admit(); err != nil {
			return err
		}
	}
	return nil
}

// frame waits for a packet's head, checks it and returns the packet's size
// with its length.
func (c *conn) frame() (size int, err error) {
	if err := c.flushBeforeWait(5, time.Now().Add(c.idle)); err != nil {
		return 0, err
	}
	head, err := c.r.Peek(5)
	if err != nil && len(head) > 0 {
		return 0, brokeOff(err)
	}
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head)
	if n == 0 || n > maxPacket {
		return 0, fmt.Errorf("milter packet of %d bytes: 1 to %d are allowed", n, maxPacket)
	}
	c.command = head[4]
	if !knownCommand(c.command) {
		return 0, fmt.Errorf("unknown milter command %q", c.command)
	}
	return 4 + int(n), nil
}

// passOver discards a header field that is there in full, and that is
// neither wanted nor to be replied to. go-milter would take it apart, and
// keep it.
func (c *conn) passOver(size int) bool {
	if gomilter.Code(c.command) != gomilter.CodeHeader || c.silent&gomilter.OptNoHeaderReply == 0 || c.r.Buffered() < size {
		return false
	}
	packet, _ := c.r.Peek(size)
	name, _, _ := bytes.Cut(packet[5:], []byte{0})
	if len(name) == 0 || !c.unwanted(name) {
		return false
	}
	c.r.Discard(size)
	return true
}

func brokeOff(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("packet broke off: %w", err)
}

// receive reads a packet of n bytes with its length. Memory grows with what
// has come, not with what the length promises.
func (c *conn) receive(n int) error {
	if c.packet.Cap() > keptPacket {
		c.packet = bytes.Buffer{}
	}
	c.packet.Reset()
	deadline := time.Now().Add(c.idle) // of the whole packet, however it trickles in
	for c.packet.Len() < n {
		if err := c.flushBeforeWait(1, deadline); err != nil {
			return err
		}
		if _, err := c.r.Peek(1); err != nil {
			return err
		}
		there, _ := c.r.Peek(min(n-c.packet.Len(), c.r.Buffered()))
		c.packet.Write(there)
		c.r.Discard(len(there))
	}
	return nil
}

// admit keeps from go-milter what it would end the session for, or answer
// other than with "continue": commands that tell us nothing.
func (c *conn) admit() error {
	switch gomilter.Code(c.command) {
	case gomilter.CodeOptNeg:
		if c.negotiated {
			return errors.New("the MTA negotiated twice")
		}
		c.negotiated = true
	case gomilter.CodeMacro:
		if c.packet.Len() < 6 {
			return errors.New("macro packet without a command")
		}
		c.macros = parseMacros(c.packet.Bytes()[5:])
		c.packet.Reset()
	case codeQuitNewConn:
		c.replace(gomilter.CodeAbort)
	case codeUnknown, gomilter.CodeConn, gomilter.CodeHelo, gomilter.CodeEOH, gomilter.CodeBody:
		c.replace(gomilter.CodeData)
	}
	return nil
}

// replace gives go-milter another command, without data. The reply is still
// the MTA's command's.
func (c *conn) replace(code gomilter.Code) {
	c.packet.Reset()
	c.packet.Write([]byte{0, 0, 0, 1, byte(code)})
}

func knownCommand(code byte) bool { return strings.IndexByte(commands, code) >= 0 }

// flushBeforeWait sends the replies if fewer than n bytes are there to read
// without waiting, and sets the deadline of the wait.
func (c *conn) flushBeforeWait(n int, deadline time.Time) error {
	if c.r.Buffered() >= n {
		return nil
	}
	if err := c.flush(); err != nil {
		return err
	}
	c.acknowledge()
	c.SetReadDeadline(deadline)
	if c.draining.Load() && !c.busy.Load() {
		return errDraining
	}
	return nil
}

func (c *conn) flush() error {
	if err := c.w.Flush(); err != nil {
		return fmt.Errorf("reply to MTA: %w", err)
	}
	return nil
}

// A boundedWriter gives the MTA a time to read in. The buffer above it writes
// on its own too, when it is full.
type boundedWriter struct {
	net.Conn
	wait time.Duration
}

func (w boundedWriter) Write(p []byte) (int, error) {
	w.SetWriteDeadline(time.Now().Add(w.wait))
	return w.Conn.Write(p)
}

// reply buffers a packet; its data are the parts. The next flush reports an
// error.
func (c *conn) reply(code byte, parts ...string) {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	head := binary.BigEndian.AppendUint32(c.w.AvailableBuffer(), uint32(n))
	_, _ = c.w.Write(append(head, code))
	for _, p := range parts {
		_, _ = c.w.WriteString(p)
	}
}

// Write implements net.Conn for go-milter, which would log an error without
// the connection's name: the next flush reports it.
func (c *conn) Write(p []byte) (int, error) {
	if c.command == byte(gomilter.CodeHeader) && c.silent&gomilter.OptNoHeaderReply != 0 {
		return len(p), nil // "continue" for a field that it cannot read
	}
	if c.command == byte(gomilter.CodeOptNeg) && len(p) >= 9 {
		// go-milter always answers version 2, which has no bits for what it
		// then asks for; strict clients end the session at that.
		p = append([]byte(nil), p...)
		binary.BigEndian.PutUint32(p[5:], c.version)
	}
	_, _ = c.w.Write(p)
	return len(p), nil
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
	case errors.Is(err, io.EOF) && !c.busy.Load():
	default:
		c.log.Warn("connection ended", "error", err, "in_message", c.busy.Load())
	}
}
