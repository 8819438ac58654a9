package mtatest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Mail is one message to send. From and To are envelope addresses without angle brackets.
type Mail struct {
	From string
	To   []string
	// Data is header, empty line and body with LF or CRLF line ends; it goes out with CRLF and a line end at its end,
	// otherwise byte for byte.
	Data []byte
	// SMTPUTF8 says that addresses or header hold UTF-8 (RFC 6531).
	SMTPUTF8 bool
}

// SendError says which mail, counted from 0, was the first that the server did not take over. Err is a
// *textproto.Error when the server refused it.
type SendError struct {
	Index int
	Err   error
}

func (e *SendError) Error() string { return fmt.Sprintf("send mail %d: %v", e.Index, e.Err) }

func (e *SendError) Unwrap() error { return e.Err }

// Send speaks SMTP to addr, all mails in order on one connection, each command after the last one's reply. It ends
// with a *SendError at the first refusal, of a single recipient too.
func Send(ctx context.Context, addr string, mails ...Mail) error {
	return send(ctx, addr, (*client).mail, mails)
}

// SendPipelined is Send with command groups (RFC 2920): the end of one message and all of the next one's envelope
// leave in one write.
func SendPipelined(ctx context.Context, addr string, mails ...Mail) error {
	return send(ctx, addr, (*client).pipelinedMail, mails)
}

// SendUntilAccepted does as a mail server does: it sends its share of the mails over each of several connections at
// once. After a 4xx reply or the loss of a connection it connects again, after a moment, and goes on with that mail,
// until ctx is done. A 5xx reply is final.
func SendUntilAccepted(ctx context.Context, addr string, sessions int, mails ...Mail) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failures := make(chan error, sessions)
	var wg sync.WaitGroup
	for share := range slices.Chunk(mails, (len(mails)+sessions-1)/sessions) {
		wg.Go(func() {
			if err := retry(ctx, addr, share); err != nil {
				failures <- err
				cancel()
			}
		})
	}
	wg.Wait()
	close(failures)
	return <-failures
}

func retry(ctx context.Context, addr string, mails []Mail) error {
	for {
		err := Send(ctx, addr, mails...)
		var failed *SendError
		if !errors.As(err, &failed) {
			return nil // what can fail after the last mail is the farewell
		}
		var reply *textproto.Error
		if errors.As(err, &reply) && reply.Code >= 500 {
			return err
		}
		mails = mails[failed.Index:]
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func send(ctx context.Context, addr string, one func(*client, Mail, *Mail) error, mails []Mail) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return &SendError{Err: err}
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	c := newClient(ctx, conn)
	if err := c.greet(); err != nil {
		return &SendError{Err: err}
	}
	for i := range mails {
		var next *Mail
		if i+1 < len(mails) {
			next = &mails[i+1]
		}
		if err := one(c, mails[i], next); err != nil {
			return &SendError{Index: i, Err: errors.Join(err, ctx.Err())}
		}
	}
	return c.command(221, "QUIT")
}

// client is one SMTP connection from the client's side.
type client struct {
	r *textproto.Reader
	w *bufio.Writer
	// ahead says that the envelope of the next mail has been sent already.
	ahead bool
}

func newClient(ctx context.Context, conn net.Conn) *client {
	if deadline, ok := ctx.Deadline(); ok {
		// A connection that takes no deadline is still closed when ctx is done.
		_ = conn.SetDeadline(deadline)
	}
	return &client{r: textproto.NewReader(bufio.NewReader(conn)), w: bufio.NewWriter(conn)}
}

func (c *client) greet() error {
	if err := c.expect(220); err != nil {
		return err
	}
	return c.command(250, "EHLO client.example.net")
}

func (c *client) expect(code int) error {
	_, _, err := c.r.ReadResponse(code)
	return err
}

func (c *client) command(code int, line string) error {
	if _, err := c.w.WriteString(line + "\r\n"); err != nil {
		return err
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	return c.expect(code)
}

func (c *client) mail(m Mail, _ *Mail) error {
	for _, line := range envelope(m) {
		if err := c.command(250, line); err != nil {
			return err
		}
	}
	if err := c.command(354, "DATA"); err != nil {
		return err
	}
	c.writeData(m.Data)
	if err := c.w.Flush(); err != nil {
		return err
	}
	return c.expect(250)
}

func (c *client) pipelinedMail(m Mail, next *Mail) error {
	if !c.ahead {
		c.writeEnvelope(m)
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	for range envelope(m) {
		if err := c.expect(250); err != nil {
			return err
		}
	}
	if err := c.expect(354); err != nil {
		return err
	}
	c.writeData(m.Data)
	if c.ahead = next != nil; c.ahead {
		c.writeEnvelope(*next)
	}
	if err := c.w.Flush(); err != nil {
		return err
	}
	return c.expect(250)
}

func (c *client) writeEnvelope(m Mail) {
	// The next Flush reports the error, here and in writeData.
	_, _ = c.w.WriteString(strings.Join(envelope(m), "\r\n") + "\r\nDATA\r\n")
}

func envelope(m Mail) []string {
	from := "MAIL FROM:<" + m.From + "> BODY=8BITMIME"
	if m.SMTPUTF8 {
		from += " SMTPUTF8"
	}
	lines := []string{from}
	for _, to := range m.To {
		lines = append(lines, "RCPT TO:<"+to+">")
	}
	return lines
}

// writeData stuffs dots and ends the message (RFC 5321, section 4.5.2).
func (c *client) writeData(data []byte) {
	for line := range bytes.Lines(data) {
		line, _ = bytes.CutSuffix(line, []byte("\n"))
		line, _ = bytes.CutSuffix(line, []byte("\r"))
		if bytes.HasPrefix(line, []byte(".")) {
			_ = c.w.WriteByte('.')
		}
		_, _ = c.w.Write(line)
		_, _ = c.w.WriteString("\r\n")
	}
	_, _ = c.w.WriteString(".\r\n")
}

// Load sends messages to addr with Postfix's smtp-source over so many parallel sessions. args go before the address,
// for example "-l", "4096" for a length or "-f", "a@example.net" and "-t", "list@lists.example.org"; "-d" keeps one
// connection a session.
func Load(ctx context.Context, addr string, sessions, messages int, args ...string) error {
	path, err := program("smtp-source", postfixPackage)
	if err != nil {
		return err
	}
	all := append([]string{"-s", strconv.Itoa(sessions), "-m", strconv.Itoa(messages)}, args...)
	if out, err := exec.CommandContext(ctx, path, append(all, addr)...).CombinedOutput(); err != nil {
		return fmt.Errorf("smtp-source: %w: %s", err, out)
	}
	return nil
}
