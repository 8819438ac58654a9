package lmtp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/emersion/go-smtp"
)

// A Delivery hands messages over to an archive. Make one with ParseDelivery.
type Delivery interface {
	// prepare makes and opens what stage needs, unless that is done. The other
	// methods do so too.
	prepare() error
	// stage does all that may be done before the token is the message's. It may
	// be called again for a message that was delivered, until settle is called:
	// what it returns then has nothing to do.
	stage(p parcel) (staged, error)
	// settle is called when the registry knows that the message is archived,
	// and the reply is written.
	settle(p parcel)
	// unsettled reports whether a message was delivered under a token and not
	// settled: the server stopped, and the client may not have its reply.
	unsettled(list, token string) bool
	// down returns the reply for a delivery that failed.
	down() *smtp.SMTPError
	// spool returns a file without a name, for a long message that comes in.
	spool() (*os.File, error)
	// close closes what prepare opened.
	close()
}

// A staged message can be delivered. One of deliver and discard is called.
type staged interface {
	// deliver returns nil once the archive has the message for good, or a
	// *smtp.SMTPError that is the next hop's reply.
	deliver(ctx context.Context) error
	// discard undoes stage: the token is another message's.
	discard()
}

// ParseDelivery reads a configured delivery:
//
//   - maildir:/PATH, a folder with tmp, new and cur as maildir(5) has them,
//     and pending, which is the server's own. A message is delivered once,
//     also when the process or the machine stops at any point and the client
//     sends it again, and also when its reader has removed it by then. The
//     file's name begins with the token and a full stop. The folders are opened
//     at start, or once they can be, and none of them may be a link; a Maildir
//     that is moved needs a restart.
//   - lmtp:HOST:PORT or lmtp:unix:/PATH, a next hop that speaks LMTP. The
//     recipient is passed on without a claim.
func ParseDelivery(text string) (Delivery, error) {
	scheme, rest, _ := strings.Cut(text, ":")
	switch {
	case scheme == "maildir" && filepath.IsAbs(rest):
		return &maildir{path: filepath.Clean(rest)}, nil
	case scheme == "lmtp":
		network, address, err := splitAddress(rest)
		return nextHop{network, address}, err
	}
	return nil, fmt.Errorf("%q: write maildir:/path, lmtp:host:port or lmtp:unix:/path", text)
}

// A parcel is a message on its way into an archive.
type parcel struct {
	*Domain
	message  *message
	to       Address // the message's own
	hostname string
}

// name returns the parcel's own name, which is the same whenever the message
// comes: token, identity, body and list.
func (p parcel) name() string {
	return fmt.Sprintf("%s.%s.%s%s", p.to.Token(), p.message.identity, p.message.body, listSuffix(p.List))
}

// listSuffix ends the names of a list's parcels.
func listSuffix(list string) string {
	sum := sha256.Sum256([]byte(list))
	return fmt.Sprintf(".%x", sum[:8])
}

// passage returns how the message came to its token.
func (p parcel) passage() passage { return passage{p.List, p.to.Token(), p.message.from} }

// recipient returns the address without the claim, which is for this server
// only.
func (p parcel) recipient() string {
	a := p.to
	a.Claim = ""
	return a.String()
}

// relayed returns the message with its trace field (RFC 5321, section 4.4).
func (p parcel) relayed() io.Reader {
	received := fmt.Sprintf("Received: from %s by %s with LMTP for <%s>;\r\n\t%s\r\n",
		plainHost(p.message.helo), p.hostname, p.recipient(), time.Now().Format(time.RFC1123Z))
	return io.MultiReader(strings.NewReader(received), p.message.content())
}

// final returns the message as the last hop writes it.
func (p parcel) final() io.Reader {
	fields := fmt.Sprintf("Return-Path: <%s>\r\nDelivered-To: %s\r\n", p.message.from, p.recipient())
	return io.MultiReader(strings.NewReader(fields), p.relayed())
}

// plainHost returns a client's name for a Received field, or "unknown" where it
// could be taken for syntax.
func plainHost(name string) string {
	odd := func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-[]:", r)
	}
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, odd) {
		return "unknown"
	}
	return name
}

// localLines writes LF for CRLF. A CR without LF stays.
type localLines struct {
	w     io.Writer
	ended bool // the last piece ended in CR, which is held back
}

func (l *localLines) Write(p []byte) (int, error) {
	piece := p
	if l.ended {
		piece = append([]byte{'\r'}, p...)
	}
	l.ended = bytes.HasSuffix(piece, []byte{'\r'})
	if l.ended {
		piece = piece[:len(piece)-1]
	}
	_, err := l.w.Write(bytes.ReplaceAll(piece, []byte("\r\n"), []byte{'\n'}))
	return len(p), err
}

// flush writes a CR that was held back.
func (l *localLines) flush() error {
	if !l.ended {
		return nil
	}
	l.ended = false
	_, err := l.w.Write([]byte{'\r'})
	return err
}
