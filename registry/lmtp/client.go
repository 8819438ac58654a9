package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
)

// Errors of Deliver that a caller may test for with errors.Is.
var (
	ErrRefused   = errors.New("the archive refuses the message")
	ErrTemporary = errors.New("the archive does not take the message now, try again later")
	// ErrMessage is for a message that cannot have a permalink.
	ErrMessage = errors.New("not a message with a permalink")
)

// maxTokens bounds the tokens that Deliver offers for one message.
const maxTokens = 20

// A Request tells Deliver where a message goes.
type Request struct {
	Server    string // HOST:PORT or unix:/PATH
	Domain    string // the archive's host, for recipients
	ListName  string // the list's local part; empty for the domain's first list
	Algorithm hashheader.Algorithm
	Identity  []string // of hashheader.IdentityFields; empty: no claim is made
	From      string   // reverse-path; may be empty
	Hostname  string   // for LHLO
}

// A Receipt is what the archive made of a message.
type Receipt struct {
	Token string // under which it is archived
	Text  string // the archive's last reply
	Tries int    // tokens that were offered
}

// Deliver hands a message over to an archive. It offers the message's hash,
// and where that is occupied the token that the archive suggests, else the
// next one. The lines of content end in LF or CRLF; ctx bounds the whole.
//
// The receipt's text and the errors repeat what the server says, with control
// characters spelled out, so that they can be shown on a terminal.
func Deliver(ctx context.Context, r Request, content io.Reader) (Receipt, error) {
	receipt, err := deliver(ctx, r, content)
	receipt.Text = printable(receipt.Text)
	if err != nil {
		err = shownError{err}
	}
	return receipt, err
}

// A shownError is an error with control characters spelled out.
type shownError struct{ error }

func (e shownError) Error() string { return printable(e.error.Error()) }
func (e shownError) Unwrap() error { return e.error }

// printable returns text of a server, whose replies may have several lines, on
// one line.
func printable(text string) string {
	return hashheader.Printable(strings.ReplaceAll(text, "\n", " "))
}

func deliver(ctx context.Context, r Request, content io.Reader) (Receipt, error) {
	s, err := receive(content, unnamedFile)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	defer s.close()
	m, err := readMessage(s, r.Identity)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if strings.ContainsAny(r.From, "<>\r\n") {
		return Receipt{}, fmt.Errorf("sender %q: write an address without angle brackets", r.From)
	}
	to, err := r.address(m)
	if err != nil {
		return Receipt{}, err
	}
	network, address, err := splitAddress(r.Server)
	if err != nil {
		return Receipt{}, err
	}
	client, quit, err := connect(ctx, network, address, r.Hostname)
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: %s: %w", ErrTemporary, r.Server, err)
	}
	defer quit()
	n := negotiation{client: client, from: r.From, message: m, to: to}
	return n.run()
}

// address returns the first recipient to try: the bare hash.
func (r Request) address(m *message) (Address, error) {
	hash, err := r.Algorithm.Hash(m.canonical)
	if err != nil {
		return Address{}, err
	}
	a := Address{hashheader.Reference{Hash: hash, Ordinal: 1}, r.ListName, r.Domain}
	if len(r.Identity) > 0 {
		a.Claim = m.identity.String()[:hashheader.MinClaim]
	}
	return ParseAddress(a.String())
}

// A negotiation is a client's part in finding a message's token.
type negotiation struct {
	client  *smtp.Client
	from    string
	message *message
	to      Address
	open    bool // a transaction is open; a refused RCPT does not end it
}

func (n *negotiation) run() (Receipt, error) {
	for tries := 1; ; tries++ {
		text, err := n.offer()
		said, refused := refusal(err)
		switch {
		case err == nil:
			own, _ := n.to.suggestion(text)
			return Receipt{Token: own.Token(), Text: text, Tries: tries}, nil
		case !refused:
			return Receipt{}, fmt.Errorf("%w: %w", ErrTemporary, err)
		case said.Code/100 == 4:
			return Receipt{}, fmt.Errorf("%w: %d %s", ErrTemporary, said.Code, said.Message)
		case said.Code != 553:
			return Receipt{}, fmt.Errorf("%w: %d %s", ErrRefused, said.Code, said.Message)
		case tries == maxTokens:
			return Receipt{}, fmt.Errorf("%w: all of %d tokens are occupied, the last one tried was %s", ErrRefused, maxTokens, n.to.Token())
		}
		next, ok := n.to.suggestion(said.Message)
		if !ok || next == n.to {
			next = n.to.at(n.to.Ordinal + 1)
		}
		if next.Ordinal > hashheader.MaxOrdinal {
			return Receipt{}, fmt.Errorf("%w: %d %s", ErrRefused, said.Code, said.Message)
		}
		n.to = next
	}
}

// offer tries one token.
func (n *negotiation) offer() (text string, err error) {
	if !n.open {
		if err := n.client.Mail(n.from, mailOptions(n.client, n.message.size()-n.message.start, n.from, n.to.String())); err != nil {
			return "", err
		}
		n.open = true
	}
	if err := n.client.Rcpt(n.to.String(), nil); err != nil {
		return "", err
	}
	n.open = false
	return transmit(n.client, n.message.content())
}
