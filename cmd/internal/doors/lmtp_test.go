package doors

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/headertest"
	"permalink-milter/registry"
	"permalink-milter/registry/lmtp"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

const archiveHost = "archive.example.org"

// An lmtpSite is the LMTP server with an archive behind it. Each message comes
// to an empty registry, so that it gets the bare hash.
type lmtpSite struct {
	registry.Registry
	address   string // of the server
	client    *bufio.ReadWriter
	reserved  *registry.Request
	confirmed registry.Confirmation
	kept      []byte // what the archive got last
}

// LookupHash implements registry.Registry.
func (*lmtpSite) LookupHash(context.Context, string, string) ([]registry.Reservation, error) {
	return nil, nil
}

// Reserve implements registry.Registry.
func (s *lmtpSite) Reserve(_ context.Context, r registry.Request) (registry.Result, error) {
	s.reserved = &r
	return bare(r)
}

// Confirm implements registry.Registry.
func (s *lmtpSite) Confirm(_ context.Context, c registry.Confirmation) (registry.Reservation, error) {
	s.confirmed = c
	return registry.Reservation{}, nil
}

// startLMTP starts the server and the archive that it delivers to.
func startLMTP(t testing.TB, policy *stamp.Policy) *lmtpSite {
	t.Helper()
	s := &lmtpSite{Registry: registry.New(memreg.New(), registry.Options{})}
	delivery, err := lmtp.ParseDelivery("lmtp:unix:" + s.startArchive(t))
	if err != nil {
		t.Fatal(err)
	}
	server, err := lmtp.NewServer(lmtp.Options{
		Domains:  []lmtp.Domain{{Name: archiveHost, List: "devel@lists.example.org", URL: policy.Archives[0].URL, Delivery: delivery}},
		Registry: s, Identity: policy.Identity, Hostname: archiveHost, Log: slog.New(slog.DiscardHandler),
		MaxMessage: 64 << 20, MaxRecipients: 10, Timeout: time.Hour, RegistryTimeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t)
	go server.Serve(ln)
	s.address = "unix:" + ln.Addr().String()
	nc, err := net.Dial("unix", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.client = bufio.NewReadWriter(bufio.NewReader(nc), bufio.NewWriter(nc))
	t.Cleanup(func() {
		nc.Close()
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	s.reply(t)
	s.say(t, "LHLO client.example.org", "250")
	return s
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(t.TempDir(), "lmtp.sock"))
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// startArchive starts a next hop that keeps the last message, and returns its
// socket.
func (s *lmtpSite) startArchive(t testing.TB) string {
	t.Helper()
	archive := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return archiveSession{s}, nil }))
	archive.LMTP, archive.MaxLineLength = true, 4<<20
	ln := listen(t)
	go archive.Serve(ln)
	t.Cleanup(func() { archive.Close() })
	return ln.Addr().String()
}

// An archiveSession takes every message.
type archiveSession struct{ site *lmtpSite }

func (archiveSession) Mail(string, *smtp.MailOptions) error { return nil }
func (archiveSession) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (archiveSession) Reset()                               {}
func (archiveSession) Logout() error                        { return nil }
func (s archiveSession) Data(r io.Reader) (err error) {
	s.site.kept, err = io.ReadAll(r)
	return err
}

// say writes a line and returns the reply, which has to begin with the prefix.
func (s *lmtpSite) say(t testing.TB, line, prefix string) string {
	t.Helper()
	s.client.WriteString(line + "\r\n")
	s.client.Flush()
	got := s.reply(t)
	if !strings.HasPrefix(got, prefix) {
		t.Fatalf("%.100q is answered %q", line, got)
	}
	return got
}

// reply returns the last line of a reply.
func (s *lmtpSite) reply(t testing.TB) string {
	t.Helper()
	for {
		line, err := s.client.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if len(line) > 3 && line[3] != '-' {
			return strings.TrimRight(line, "\r\n")
		}
	}
}

// Recipients of hashes that no message has.
var (
	noMD5  = strings.Repeat("A", 26)
	noSHA1 = strings.Repeat("A", 32)
)

var rightHash = regexp.MustCompile(`the (md5|sha1) hash of its Message-ID is ([A-Z2-7]+)`)

// server asks the server for the hashes of a message: it sends the message to
// wrong ones, and the refusals say the right ones. Then it sends the message to
// the right one.
func (s *lmtpSite) server(t testing.TB, data []byte) answer {
	a := answer{}
	for i, text := range s.send(t, data, noMD5, noSHA1) {
		hash := rightHash.FindStringSubmatch(text)
		if hash == nil {
			return because(text)
		}
		a[[]aspect{md5, sha1}[i]] = hash[2]
	}
	if text := s.send(t, data, a[md5])[0]; !strings.HasPrefix(text, "250") {
		t.Errorf("%q: the server names %s and answers %q to it", data, a[md5], text)
		return a
	}
	maps.Copy(a, s.archived())
	return a
}

// send sends a message to hashes, as it is but for the line end before the last
// dot, and returns the reply for each.
func (s *lmtpSite) send(t testing.TB, data []byte, hashes ...string) (replies []string) {
	t.Helper()
	s.reserved, s.kept = nil, nil
	s.say(t, "MAIL FROM:<a@example.org>", "250")
	for _, hash := range hashes {
		s.say(t, "RCPT TO:<"+hash+"@"+archiveHost+">", "250")
	}
	s.say(t, "DATA", "354")
	s.client.Write(wire(data))
	for i := range hashes {
		if i == 0 {
			replies = append(replies, s.say(t, ".", ""))
			continue
		}
		replies = append(replies, s.reply(t))
	}
	return replies
}

// archived returns what the registry and the archive know of the last message.
// What the archive keeps has to have the id that the message was archived by.
func (s *lmtpSite) archived() answer {
	h, _ := headertest.Read(s.kept)
	a := answer{own: none, identity: s.reserved.Identity.String(), devel: s.confirmed.URL}
	if canonical := idOf(h); canonical != "" {
		a[own] = found
		a.setID(canonical)
	}
	return a
}

// wire returns a message with the line ends and dots that SMTP needs (RFC 5321,
// section 4.5.2). Line ends that have too many CRs keep them.
func wire(data []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(data) {
		if line[0] == '.' {
			out.WriteByte('.')
		}
		text, ended := bytes.CutSuffix(line, []byte("\n"))
		if out.Write(text); !ended || !bytes.HasSuffix(text, []byte("\r")) {
			out.WriteByte('\r')
		}
		out.WriteByte('\n')
	}
	if bytes.HasSuffix(out.Bytes(), []byte("\r\r\n")) {
		out.WriteString("\r\n") // go-smtp would not see the last dot
	}
	return out.Bytes()
}

// deliver hands a message over as permalink deliver does. The server has to
// archive it under the hash that the client computed.
func (s *lmtpSite) deliver(t testing.TB, data []byte) answer {
	s.reserved, s.kept = nil, nil
	receipt, err := lmtp.Deliver(context.Background(), lmtp.Request{Server: s.address, Domain: archiveHost, Identity: []string{"message-id", "date"},
		Algorithm: hashheader.MD5, From: "a@example.org", Hostname: "client.example.org"}, bytes.NewReader(data))
	if errors.Is(err, lmtp.ErrMessage) {
		return because(err.Error())
	}
	if err != nil || s.reserved == nil {
		return answer{md5: "refused: " + errorText(err)}
	}
	if s.reserved.Hash != receipt.Token {
		t.Errorf("%q: client and server say %s and %s", data, receipt.Token, s.reserved.Hash)
	}
	a := s.archived()
	a[md5] = receipt.Token
	return a
}

func errorText(err error) string {
	if err == nil {
		return "nothing was reserved"
	}
	return err.Error()
}
