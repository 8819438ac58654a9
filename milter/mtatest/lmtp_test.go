package mtatest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter"
	"permalink-milter/registry"
	"permalink-milter/registry/lmtp"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

// An archive is an LMTP server that Postfix delivers to, by its lmtp(8).
type archive struct {
	postfix  *Postfix
	registry *shakyRegistry
	maildir  string
}

// A shakyRegistry confirms, and says for the next confirmations that it could
// not.
type shakyRegistry struct {
	registry.Registry
	lost atomic.Int32
}

func (r *shakyRegistry) Confirm(ctx context.Context, c registry.Confirmation) (registry.Reservation, error) {
	held, err := r.Registry.Confirm(ctx, c)
	if r.lost.Add(-1) >= 0 {
		err = registry.ErrUnavailable
	}
	return held, err
}

func startArchive(t *testing.T) archive {
	t.Helper()
	a := archive{registry: &shakyRegistry{Registry: registry.New(memreg.New(), registry.Options{})}, maildir: t.TempDir()}
	url, err := hashheader.ParseTemplate("https://a.example/{token}")
	if err != nil {
		t.Fatal(err)
	}
	delivery, err := lmtp.ParseDelivery("maildir:" + a.maildir)
	if err != nil {
		t.Fatal(err)
	}
	server, err := lmtp.NewServer(lmtp.Options{
		Domains:  []lmtp.Domain{{Name: "archive.example.org", List: "devel@lists.example.org", URL: url, Delivery: delivery}},
		Registry: a.registry, Identity: []string{"message-id", "date"}, Hostname: "archive.example.org", Log: slog.New(slog.DiscardHandler),
		MaxMessage: 64 << 20, MaxRecipients: 100, Timeout: time.Minute, RegistryTimeout: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	ln := listen(t, server.Serve, server.Shutdown)
	sink := startSink(t)
	a.postfix = startPostfix(t, Options{Sink: sink.Addr(), Milters: []string{startMilter(t, a.registry)}, ExtraMain: []string{
		"relayhost =", "default_transport = lmtp:inet:" + ln, "lmtp_dns_support_level = disabled"}})
	return a
}

// listen serves on a port of its own until the test ends.
func listen(t *testing.T, serve func(net.Listener) error, shutdown func(context.Context) error) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go serve(ln)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// startMilter runs a milter that reserves in the archive's registry.
func startMilter(t *testing.T, reg registry.Registry) (addr string) {
	t.Helper()
	url, err := hashheader.ParseTemplate("https://a.example/{token}")
	if err != nil {
		t.Fatal(err)
	}
	policy, err := stamp.NewPolicy(stamp.Policy{Emit: []string{"Message-ID-MD5"}, Missing: stamp.MissingDerive, OnFailure: stamp.FailureTempfail,
		Identity: []string{"message-id", "date"}, Archives: []stamp.Archive{{Name: "a", Lists: []string{"*@lists.example.org"}, URL: url}}})
	if err != nil {
		t.Fatal(err)
	}
	server := milter.NewServer(milter.Options{Policy: policy, Reserve: reg.Reserve, Log: slog.New(slog.DiscardHandler),
		IdleTimeout: time.Minute, MessageBudget: time.Minute, MaxHeaderFields: 1000, MaxHeaderBytes: 1 << 20})
	return "inet:" + listen(t, server.Serve, server.Shutdown)
}

// send gives Postfix a message for tokens, and returns what the archive said
// of each once the queue is empty.
func (a archive) send(t *testing.T, from, data string, tokens ...string) map[string]string {
	t.Helper()
	before := len(a.postfix.Log())
	mail := Mail{From: from, Data: []byte(data), SMTPUTF8: strings.Contains(data, "ü")}
	for _, token := range tokens {
		mail.To = append(mail.To, token+"@archive.example.org")
	}
	if err := Send(limit(t), a.postfix.Remote(), mail); err != nil {
		t.Fatal(err)
	}
	if err := untilEmpty(t, a.postfix); err != nil {
		t.Fatal(err)
	}
	replies := make(map[string]string)
	for _, m := range status.FindAllStringSubmatch(a.postfix.Log()[before:], -1) {
		replies[m[1]] += m[2] + " " + m[3] + "; "
	}
	return replies
}

// status finds a recipient's token, what became of it, and the archive's words.
var status = regexp.MustCompile(`to=<([A-Z2-7-]+)@archive\.example\.org>.* status=(\w+) \(.*?((?:Already archived|Archived|Permalink|This message has|The registry) \w+)`)

func (a archive) stored(t *testing.T) (contents []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(a.maildir, "new", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(content))
	}
	return contents
}

// colliding is a message for the list whose MD5 hash is collision, whatever
// the letter, A or E.
func colliding(letter string) string {
	return common + "List-Id: <devel.lists.example.org>\r\nMessage-ID: <TEXTCOLLBYfGiJUETHQ4h" + letter +
		"cKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak>\r\n\r\nGrüße from " + letter + "\r\n"
}

const collision = "7KWUTBTOSSMPYFYZ6UUJ46QCNE"

func TestPostfixDeliversToTheArchive(t *testing.T) {
	a := startArchive(t)
	const alice, bob = "alice@example.org", "bob@example.net"
	second := collision + "-2"
	for _, c := range []struct {
		name, from, data string
		tokens           []string
		want             map[string]string
		stored           int
	}{
		{"the milter reserved the hash for this message", alice, colliding("A"), []string{collision},
			map[string]string{collision: "sent Archived as; "}, 1},
		{"a retransmission is not stored again", alice, colliding("A"), []string{collision},
			map[string]string{collision: "sent Already archived as; "}, 1},
		{"the milter reserved the second token, the sender names the first", bob, colliding("E"), []string{collision},
			map[string]string{collision: "bounced Permalink already; "}, 1},
		{"and the one that the milter stamped", bob, colliding("E"), []string{second},
			map[string]string{second: "sent Archived as; "}, 2},
		{"each recipient has a reply of its own", bob, colliding("E"), []string{second, "VP3JZR3MSKY5TQSMS5FHURHQXI"},
			map[string]string{second: "sent Already archived as; ", "VP3JZR3MSKY5TQSMS5FHURHQXI": "bounced This message has another; "}, 2},
	} {
		got := a.send(t, c.from, c.data, c.tokens...)
		if fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := a.stored(t); len(got) != c.stored {
			t.Errorf("%s: %d messages are stored", c.name, len(got))
		}
	}
	for _, content := range a.stored(t) {
		token := regexp.MustCompile(`\nDelivered-To: (.*)@archive`).FindStringSubmatch(content)
		if token == nil || !strings.Contains(content, "\nArchived-At: <https://a.example/"+token[1]+">\n") {
			t.Errorf("the stamped permalink is not the archived one:\n%s", content)
		}
	}
}

// TestPostfixDeliversAnotherBody has a forgery come first: the archive keeps
// both, and what Postfix sends again is kept once.
func TestPostfixDeliversAnotherBody(t *testing.T) {
	a := startArchive(t)
	const client = "alice@example.org"
	forged := strings.Replace(colliding("A"), "Grüße", "Send money", 1)
	second := collision + "-2"
	for _, c := range []struct {
		name, data, token, want string
		stored                  int
	}{
		{"the forgery", forged, collision, "sent Archived as; ", 1},
		{"the message under the forgery's token", colliding("A"), collision, "bounced Permalink already; ", 1},
		{"the message under the token that the reply names", colliding("A"), second, "sent Archived as; ", 2},
		{"the message again, with another trace field", "Received: by x.example; x\r\n" + colliding("A"), collision, "sent Already archived as; ", 2},
		{"the forgery again", forged, second, "sent Already archived as; ", 2},
		{"the message with a footer", colliding("A") + "____\r\n", collision, "bounced Permalink already; ", 2},
	} {
		if got := a.send(t, client, c.data, c.token)[c.token]; got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		if got := a.stored(t); len(got) != c.stored {
			t.Errorf("%s: %d messages are stored", c.name, len(got))
		}
	}
	if all := strings.Join(a.stored(t), ""); !strings.Contains(all, "Grüße from A") || !strings.Contains(all, "Send money from A") {
		t.Error("one of the two is not kept")
	}
}

func TestPostfixTriesAgainAndTheArchiveKeepsOne(t *testing.T) {
	a := startArchive(t)
	a.registry.lost.Store(1)
	got := a.send(t, "alice@example.org", colliding("A"), collision)[collision]
	if want := "deferred The registry does; sent Already archived as; "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := a.stored(t); len(got) != 1 {
		t.Errorf("%d messages are stored", len(got))
	}
}
