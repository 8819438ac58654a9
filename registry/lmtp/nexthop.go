package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// splitAddress reads HOST:PORT or unix:/PATH.
func splitAddress(text string) (network, address string, err error) {
	if path, ok := strings.CutPrefix(text, "unix:"); ok && path != "" {
		return "unix", path, nil
	}
	if host, port, err := net.SplitHostPort(text); err != nil || host == "" || port == "" {
		return "", "", fmt.Errorf("%q: write host:port or unix:/path", text)
	}
	return "tcp", text, nil
}

// quitWait bounds the wait for the reply to QUIT.
const quitWait = time.Second

// maxReplies bounds what a server says in a session, in bytes. A negotiation
// takes a few hundred lines at most.
const maxReplies = 128 << 10

var errTalks = fmt.Errorf("the server says more than %d bytes", maxReplies)

// A terse is a connection to a server of which at most left more bytes are read:
// go-smtp keeps all lines of a reply, and a reply may have no end.
type terse struct {
	net.Conn
	left int
}

// Read implements net.Conn.
func (t *terse) Read(p []byte) (int, error) {
	if t.left == 0 {
		return 0, errTalks
	}
	n, err := t.Conn.Read(p[:min(len(p), t.left)])
	t.left -= n
	return n, err
}

// connect returns a client that has been greeted and has said LHLO, and a
// function that ends the session. The connection ends with ctx.
func connect(ctx context.Context, network, address, hostname string) (*smtp.Client, func(), error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	client := smtp.NewClientLMTP(&terse{nc, maxReplies})
	if err := client.Hello(hostname); err != nil {
		stop()
		nc.Close()
		return nil, nil, err
	}
	return client, func() {
		// The message has its reply by now, however the session ends.
		client.CommandTimeout = quitWait
		_ = client.Quit()
		stop()
		nc.Close()
	}, nil
}

// transmit sends the message of a transaction with one recipient and returns
// the text of its reply.
func transmit(client *smtp.Client, content io.Reader) (text string, err error) {
	data, err := client.Data()
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(data, content); err != nil {
		return "", err
	}
	replies, err := data.CloseWithLMTPResponse()
	for _, r := range replies {
		text = r.StatusText
	}
	return text, err
}

// A nextHop delivers to an LMTP server.
type nextHop struct{ network, address string }

func (nextHop) prepare() error                { return nil }
func (nextHop) settle(parcel)                 {}
func (nextHop) unsettled(string, string) bool { return false }
func (nextHop) spool() (*os.File, error)      { return unnamedFile() }
func (nextHop) close()                        {}
func (nextHop) down() *smtp.SMTPError         { return nextHopDown() }

func (n nextHop) stage(p parcel) (staged, error) { return relay{n, p}, nil }

// A relay is a message for a next hop.
type relay struct {
	nextHop
	parcel
}

func (relay) discard() {}

func (r relay) deliver(ctx context.Context) error {
	client, quit, err := connect(ctx, r.network, r.address, r.hostname)
	if err != nil {
		// Even a greeting of 5xx is about the next hop, not about this message.
		return fmt.Errorf("next hop %s: %v", r.address, err)
	}
	defer quit()
	err = send(client, r.message.from, r.recipient(), r.relayed())
	if said, ok := refusal(err); ok {
		return passedOn(said)
	}
	if err != nil {
		return fmt.Errorf("next hop %s: %v", r.address, err)
	}
	return nil
}

// refusal returns the reply by which a server refused, 4xx or 5xx. Any other
// reply that is not the one awaited, as 250 to DATA, says nothing about the
// message, which is still the sender's.
func refusal(err error) (said *smtp.SMTPError, ok bool) {
	ok = errors.As(err, &said) && (said.Code/100 == 4 || said.Code/100 == 5)
	return said, ok
}

// passedOn returns a next hop's reply for the client. The next hop does not take
// part in the negotiation: what its 551 or 553 names is a recipient there, not
// here.
func passedOn(said *smtp.SMTPError) *smtp.SMTPError {
	if said.Code == 551 || said.Code == 553 {
		return reply(550, said.EnhancedCode, "%s", said.Message)
	}
	return said
}

func send(client *smtp.Client, from, to string, content io.Reader) error {
	if err := client.Mail(from, mailOptions(client, 0, from, to)); err != nil {
		return err
	}
	if err := client.Rcpt(to, nil); err != nil {
		return err
	}
	_, err := transmit(client, content)
	return err
}

// mailOptions asks for SMTPUTF8 where an address needs it (RFC 6531), and for
// 8BITMIME wherever it is offered (RFC 6152), since messages are not read to see
// whether they need it.
func mailOptions(client *smtp.Client, size int64, addresses ...string) *smtp.MailOptions {
	ascii := func(r rune) bool { return r < 0x80 }
	all := strings.Join(addresses, "")
	o := &smtp.MailOptions{Size: size, UTF8: strings.TrimFunc(all, ascii) != ""}
	if ok, _ := client.Extension("8BITMIME"); ok {
		o.Body = smtp.Body8BitMIME
	}
	return o
}
