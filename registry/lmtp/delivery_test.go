package lmtp

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

func TestDeliveriesReadFromConfiguration(t *testing.T) {
	for text, fine := range map[string]bool{
		"maildir:/var/mail/x": true, "lmtp:127.0.0.1:24": true, "lmtp:[::1]:24": true, "lmtp:unix:/run/x": true,
		"maildir:x": false, "maildir:": false, "lmtp:": false, "lmtp:host": false, "lmtp:unix:": false, "/var/mail/x": false, "mbox:/x": false,
	} {
		if _, err := ParseDelivery(text); (err == nil) != fine {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestDomainsThatCannotBeServed(t *testing.T) {
	for want, change := range map[string]func(*Options){
		"invalid list": func(o *Options) { o.Domains[0].List = "devel" },
	} {
		o := options(t.TempDir(), nil)
		change(&o)
		if _, err := NewServer(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// The reader may give a message, and so its mark, any time of modification.
func TestPendingIsSwept(t *testing.T) {
	m := &maildir{path: t.TempDir()}
	t.Cleanup(m.close)
	mark := filepath.Join(m.path, "pending", "x.sent")
	year2000 := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := errors.Join(m.prepare(), os.WriteFile(mark, nil, 0o600), os.Chtimes(mark, year2000, year2000)); err != nil {
		t.Fatal(err)
	}
	m.sweep(time.Now().Add(-pendingAge))
	if _, err := os.Lstat(mark); err != nil {
		t.Errorf("a new mark: %v", err)
	}
	m.sweep(time.Now().Add(time.Hour))
	if _, err := os.Lstat(mark); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an old mark: %v", err)
	}
}

// The names of messages can be computed by whoever may write to the Maildir.
func TestMaildirFollowsNoLink(t *testing.T) {
	target := filepath.Join(t.TempDir(), "target")
	m, p := &maildir{path: t.TempDir()}, aParcel(t)
	t.Cleanup(m.close)
	if err := errors.Join(m.prepare(), os.Symlink(target, filepath.Join(m.path, "tmp", p.name()))); err != nil {
		t.Fatal(err)
	}
	if err := deliverNow(t, m, p); err != nil || len(stored(t, m.path)) != 1 {
		t.Errorf("%v, delivered: %q", err, stored(t, m.path))
	}
	if _, err := os.Lstat(target); err == nil {
		t.Error("the link was followed")
	}
}

// via is a server whose next hop for devel is at addr.
func via(t *testing.T, addr string) site {
	return start(t, func(o *Options) {
		o.Timeout = 2 * time.Second
		var err error
		if o.Domains[0].Delivery, err = ParseDelivery("lmtp:" + addr); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNextHopGetsTheMessage(t *testing.T) {
	next := start(t, nil)
	for _, addr := range []string{next.addr, "unix:" + next.unix(t)} {
		s := via(t, addr)
		r := request(s.addr)
		r.Identity, r.ListName = []string{"message-id", "date"}, "devel"
		for range 2 {
			if got, err := Deliver(t.Context(), r, strings.NewReader(long(200<<10))); err != nil || got.Token != hash {
				t.Errorf("%+v, %v", got, err)
			}
		}
		if held, err := s.registry.Lookup(t.Context(), devel, hash); err != nil || held.State != registry.Archived {
			t.Errorf("%+v, %v", held, err)
		}
	}
	got := stored(t, next.devel)
	if len(got) != 1 || strings.Count(got[0], "Received: ") != 2 || strings.Count(got[0], "Return-Path: <a@example.org>") != 1 {
		t.Errorf("the next hop has %d messages: %.1000q", len(got), got)
	}
}

func TestNextHopsReplyIsPassedOn(t *testing.T) {
	for name, c := range map[string]struct{ prefix, reply, want string }{
		"it refuses the recipient":  {"RCPT", "550 5.1.1 no such\r\n", "550 5.1.1 <" + hash + "@archive.example.org> no such"},
		"it refuses the message":    {".", "554 5.6.9 no\r\n", "554 5.6.9 "},
		"it puts the message off":   {".", "452 4.2.2 full\r\n", "452 4.2.2 "},
		"it hangs up":               {".", "hang up", "451 4.4.1 "},
		"it says nothing":           {".", "", "451 4.4.1 "},
		"it refuses to talk":        {"LHLO", "554 5.0.0 no\r\n", "451 4.4.1 "},
		"it takes the message":      {"NONE", "", "250 2.1.5 "},
		"it does not say goodbye":   {"QUIT", "", "250 2.1.5 "},
		"it has a collision itself": {"RCPT", "553 5.1.0 try another\r\n", "550 5.1.0 "},
		"it forwards":               {"RCPT", "551 5.1.6 try <a@b>\r\n", "550 5.1.6 "},
		"it accepts out of turn":    {"DATA", "250 2.0.0 fine\r\n", "451 4.4.1 "},
		"it asks for data too soon": {"RCPT", "354 go\r\n", "451 4.4.1 "},
		"it asks for data again":    {".", "354 go\r\n", "451 4.4.1 "},
		"it never stops talking":    {"RCPT", strings.Repeat("550-no\r\n", maxReplies/5) + "550 no\r\n", "451 4.4.1 "},
	} {
		t.Run(name, func(t *testing.T) {
			s := via(t, script(t, archiveLike(c.prefix, c.reply)))
			conn := s.dial(t)
			conn.begin(t, "a@example.org")
			conn.talk(recipient1, "DATA")
			expect(t, conn.talk(message1(aliceID) + ".")[0], c.want)
			held, err := s.registry.Lookup(t.Context(), devel, hash)
			if err != nil || (held.State == registry.Archived) != strings.HasPrefix(c.want, "250") {
				t.Errorf("%+v, %v", held, err)
			}
		})
	}
}

func TestNextHopThatIsDown(t *testing.T) {
	s := via(t, "127.0.0.1:1")
	if _, err := Deliver(t.Context(), request(s.addr), strings.NewReader(message1(aliceID))); !errors.Is(err, ErrTemporary) || !strings.Contains(err.Error(), "next hop") {
		t.Error(err)
	}
}

// Were it delivered, the registry could never confirm it, and another message
// could get its token.
func TestPermalinkThatTheRegistryDoesNotTake(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Domains[0].URL, _ = hashheader.ParseTemplate("https://lists.example.org/{message_id}")
	})
	text := "From: a@example.org\nDate: x\nMessage-ID: <" + strings.Repeat("#", 998) + ">\n\nhello\n"
	_, err := Deliver(t.Context(), request(s.addr), strings.NewReader(text))
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "554 ") || !strings.Contains(err.Error(), "at most 2000 bytes") {
		t.Error(err)
	}
	if got := stored(t, s.devel); len(got) != 0 {
		t.Errorf("%d messages are stored", len(got))
	}
	for r, err := range s.registry.List(t.Context(), "") {
		t.Errorf("reserved: %+v, %v", r, err)
	}
}
