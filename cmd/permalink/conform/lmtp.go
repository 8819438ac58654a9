package conform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"
)

// A reply of an LMTP server.
type reply struct {
	code int
	text string // with the enhanced status code, RFC 2034
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.code, r.text) }

// is reports whether a reply has a code, with the enhanced one where the draft
// has one, as "553 5.1.0".
func (r reply) is(want string) bool {
	code, enhanced, _ := strings.Cut(want, " ")
	return fmt.Sprint(r.code) == code && (enhanced == "" || strings.HasPrefix(r.text+" ", enhanced+" "))
}

// expect returns an error unless a reply has a code.
func (r reply) expect(to, want string) error {
	if r.is(want) {
		return nil
	}
	return fmt.Errorf("%s is answered %.300q, want %s", to, r, want)
}

// A lmtpConn is a connection to an archive.
type lmtpConn struct {
	*textproto.Conn
	archive *archive
}

// dial connects to a host:port or unix:PATH and greets. The connection ends
// with the context.
func (a *archive) dial(ctx context.Context) (*lmtpConn, error) {
	network, address := split(a.Address)
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { nc.Close() })
	c := &lmtpConn{textproto.NewConn(nc), a}
	if err := c.greet(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// split returns the network and the address of a host:port or unix:PATH.
func split(target string) (network, address string) {
	if path, ok := strings.CutPrefix(target, "unix:"); ok {
		return "unix", path
	}
	return "tcp", target
}

func (c *lmtpConn) greet() error {
	r, err := c.read()
	if err == nil {
		err = r.expect("the connection", "220")
	}
	if err != nil {
		return err
	}
	r, err = c.say("LHLO conform.invalid")
	if err != nil {
		return err
	}
	return r.expect("LHLO", "250")
}

// read reads a reply.
func (c *lmtpConn) read() (reply, error) {
	code, text, err := c.ReadResponse(0)
	var protocol *textproto.Error
	if errors.As(err, &protocol) {
		code, text, err = protocol.Code, protocol.Msg, nil
	}
	if code == 551 {
		c.archive.said551.Store(true)
	}
	return reply{code, text}, err
}

func (c *lmtpConn) say(line string) (reply, error) {
	if err := c.PrintfLine("%s", line); err != nil {
		return reply{}, err
	}
	return c.read()
}

// begin opens a transaction.
func (c *lmtpConn) begin(from string) error {
	r, err := c.say("MAIL FROM:<" + from + ">")
	if err != nil {
		return err
	}
	return r.expect("MAIL", "250")
}

// rcpt offers a local part.
func (c *lmtpConn) rcpt(local string) (reply, error) {
	return c.say("RCPT TO:<" + local + "@" + c.archive.Domain + ">")
}

// data sends a message with LF line ends and returns the reply for each of its
// recipients.
func (c *lmtpConn) data(message string, recipients int) (replies []reply, err error) {
	r, err := c.say("DATA")
	if err == nil {
		err = r.expect("DATA", "354")
	}
	if err != nil {
		return nil, err
	}
	w := c.DotWriter()
	if _, err := w.Write([]byte(message)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	for range recipients {
		r, err := c.read()
		if err != nil {
			return nil, err
		}
		replies = append(replies, r)
	}
	return replies, nil
}
