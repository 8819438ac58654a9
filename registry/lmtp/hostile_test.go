package lmtp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"permalink-milter/registry"
)

const recipient1 = "RCPT TO:<" + hash + "@archive.example.org>"

// long is a message of about n bytes.
func long(n int) string {
	line := strings.Repeat("0123456789", 7) + "\r\n"
	return message1(aliceID) + strings.Repeat(line, n/len(line))
}

func TestLongMessageComesWhole(t *testing.T) {
	s := start(t, nil)
	text := long(3 << 20)
	if _, err := Deliver(t.Context(), request(s.addr), strings.NewReader(text)); err != nil {
		t.Fatal(err)
	}
	got := stored(t, s.devel)
	if len(got) != 1 || !strings.HasSuffix(got[0], strings.ReplaceAll(text, "\r\n", "\n")) {
		t.Error("the message changed")
	}
	if left, _ := filepath.Glob(s.devel + "/tmp/*"); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestMessageOverTheLimit(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxMessage = 1 << 20 })
	c := s.dial(t)
	c.line()
	got := c.talk("LHLO c", "MAIL FROM:<a@example.org> SIZE=9999999", "MAIL FROM:<a@example.org> SIZE=1", recipient1, "DATA")
	expect(t, got[1], "552 5.3.4")
	io.WriteString(c, long(2<<20)+".\r\n")
	expect(t, c.reply(), "552 5.3.4 <"+hash)
	expect(t, c.talk("NOOP")[0], "250 ")
	if got := stored(t, s.devel); len(got) != 0 {
		t.Errorf("%d messages are stored", len(got))
	}
}

// The addresses of a client must fill neither the memory nor the log.
func TestLongAddresses(t *testing.T) {
	var log bytes.Buffer
	s := start(t, func(o *Options) { o.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	c := s.dial(t)
	c.line()
	long := strings.Repeat("a", 100<<10) + "@example.org"
	got := c.talk("LHLO c", "MAIL FROM:<"+long+">", "MAIL FROM:<a@example.org>", "RCPT TO:<"+long+">", "QUIT")
	expect(t, got[1], "501 5.1.7 The sender's address is longer than 1000 bytes")
	expect(t, got[3], "550 ")
	if log.Len() > 10_000 {
		t.Errorf("%d bytes are logged", log.Len())
	}
}

func TestNoRoomForALongMessage(t *testing.T) {
	s := start(t, nil)
	if err := os.Remove(s.devel + "/tmp"); err != nil {
		t.Fatal(err)
	}
	c := s.dial(t)
	c.begin(t, "a@example.org")
	c.talk(recipient1, "DATA")
	expect(t, c.talk(long(1<<20) + ".")[0], "452 4.3.1 <"+hash)
	expect(t, c.talk("NOOP")[0], "250 ")
}

func TestLineOverTheLimit(t *testing.T) {
	s := start(t, nil)
	c := s.dial(t)
	c.begin(t, "a@example.org")
	c.talk(recipient1, "DATA")
	go io.WriteString(c, message1(aliceID)+strings.Repeat("x", 2*maxLine))
	expect(t, c.reply(), "554 5.6.0 <"+hash)
}

func TestRecipientFlood(t *testing.T) {
	s := start(t, func(o *Options) { o.MaxRecipients = 3 })
	c := s.dial(t)
	c.begin(t, "a@example.org")
	for range 3 {
		expect(t, c.talk(recipient1)[0], "250 ")
	}
	expect(t, c.talk(recipient1)[0], "452 4.5.3")
	c.talk("RSET", "MAIL FROM:<a@example.org>")
	for range maxRefused * 3 {
		expect(t, c.talk("RCPT TO:<nobody@archive.example.org>")[0], "550 5.1.1")
	}
	expect(t, c.talk("RCPT TO:<nobody@archive.example.org>")[0], "421 4.7.0")
	if got := c.line(); got != "" {
		t.Errorf("the server goes on: %s", got)
	}
}

func TestPipelinedTransaction(t *testing.T) {
	s := start(t, nil)
	c := s.dial(t)
	io.WriteString(c, "LHLO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<nobody@archive.example.org>\r\n"+recipient1+"\r\nDATA\r\n"+message1(aliceID)+".\r\nQUIT\r\n")
	c.line()
	c.reply()
	for _, want := range []string{"250 ", "550 5.1.1", "250 ", "354 ", "250 2.1.5 <" + hash, "221 "} {
		expect(t, c.reply(), want)
	}
}

func TestHostileInput(t *testing.T) {
	for name, c := range map[string]struct{ say, want string }{
		"garbage":                     {"\x00\x01\xff garbage\r\n", "501 "},
		"a thousand garbage commands": {strings.Repeat("XXXX\r\n", 1000), "500 5.5.2"},
		"HTTP":                        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "501 "},
		"EHLO":                        {"EHLO x\r\n", "500 5.5.1"},
		"an endless line":             {strings.Repeat("x", 2*maxLine), "500 "},
		"a control in the sender":     {"LHLO c\r\nMAIL FROM:<a\x01\x00b@x>\r\n", "501 5.1.7"},
		"a CR in the sender":          {"LHLO c\r\nMAIL FROM:<a\rX: y@x>\r\n", "501 5."},
		"a NUL in the recipient":      {"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<" + hash + "\x00@archive.example.org>\r\n", "550 5.1.1"},
		"a quoted recipient":          {"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<\"" + hash + "+a b\"@archive.example.org>\r\n", "550 5.1.1"},
		"a path in the list's name":   {"LHLO c\r\nMAIL FROM:<>\r\nRCPT TO:<" + hash + "+../devel@archive.example.org>\r\n", "550 5.1.1"},
		"an unknown parameter":        {"LHLO c\r\nMAIL FROM:<> ENVID=1\r\n", "504 "},
		"MAIL within a transaction":   {"LHLO c\r\nMAIL FROM:<a@x>\r\nMAIL FROM:<b@x>\r\n", "503 5.5.1"},
		"DATA before all":             {"DATA\r\n", "502 "},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, nil)
			conn := s.dial(t)
			conn.line()
			go io.WriteString(conn, c.say)
			var last string
			for range 3 {
				if last = conn.reply(); !strings.HasPrefix(last, "250 ") {
					break
				}
			}
			expect(t, last, c.want)
			if _, err := Deliver(t.Context(), request(s.addr), strings.NewReader(message1(aliceID))); err != nil {
				t.Errorf("a good client afterwards: %v", err)
			}
		})
	}
}

func TestLineEndsThatAreNone(t *testing.T) {
	// Only CRLF . CRLF ends a message (RFC 5321, section 2.3.8): a lone LF or
	// CR must not let a second transaction hide in a message.
	s := start(t, nil)
	c := s.dial(t)
	c.begin(t, "a@example.org")
	c.talk(recipient1, "DATA")
	hidden := "\n.\nMAIL FROM:<x@example.org>\n\r.\rMAIL FROM:<y@example.org>\r\n"
	expect(t, c.talk(message1(aliceID) + hidden + ".")[0], "250 2.1.5")
	expect(t, c.talk("NOOP")[0], "250 ")
	if got := stored(t, s.devel); len(got) != 1 || !strings.Contains(got[0], "<y@example.org>") {
		t.Errorf("stored: %q", got)
	}
}

func TestUTF8ListName(t *testing.T) {
	s := start(t, func(o *Options) { o.Domains[0].List = "grüße@lists.example.org" })
	r := request(s.addr)
	r.ListName = "grüße"
	got, err := Deliver(t.Context(), r, strings.NewReader(message1(aliceID)))
	if err != nil || got.Token != hash {
		t.Fatalf("%+v, %v", got, err)
	}
	if _, err := s.registry.Lookup(t.Context(), "grüße@lists.example.org", hash); err != nil {
		t.Error(err)
	}
}

func TestChunkedMessage(t *testing.T) {
	s := start(t, nil)
	c := s.dial(t)
	c.begin(t, "a@example.org")
	text := message1(aliceID)
	expect(t, c.talk(recipient1)[0], "250 ")
	fmt.Fprintf(c, "BDAT %d\r\n%s", 20, text[:20])
	expect(t, c.reply(), "250 ")
	fmt.Fprintf(c, "BDAT %d LAST\r\n%s", len(text)-20, text[20:])
	expect(t, c.reply(), "250 2.1.5 <"+hash)
	if got := stored(t, s.devel); len(got) != 1 || !strings.HasSuffix(got[0], "\n\nhello\n") {
		t.Errorf("stored: %q", got)
	}
}

func TestConnectionBreaksInTheMessage(t *testing.T) {
	for _, begun := range []string{recipient1 + "\r\nDATA\r\n" + long(300<<10), recipient1 + "\r\nBDAT 100\r\n" + message1(aliceID)[:100]} {
		s := start(t, nil)
		c := s.dial(t)
		c.begin(t, "a@example.org")
		io.WriteString(c, begun)
		c.reply()
		c.reply()
		c.Close()
		// The token was accepted, and is still anybody's.
		if got, err := Deliver(t.Context(), request(s.addr), strings.NewReader(message1(bobID))); err != nil || got.Token != hash {
			t.Errorf("%+v, %v", got, err)
		}
		if got := stored(t, s.devel); len(got) != 1 {
			t.Errorf("%d messages are stored", len(got))
		}
	}
}

// A silent registry does not answer.
type silent struct{ registry.Registry }

func (silent) LookupHash(context.Context, string, string) ([]registry.Reservation, error) {
	return nil, registry.ErrUnavailable
}

func TestRegistryThatDoesNotAnswer(t *testing.T) {
	s := start(t, func(o *Options) { o.Registry = silent{o.Registry} })
	c := s.dial(t)
	c.begin(t, "a@example.org")
	expect(t, c.talk(recipient1)[0], "451 4.3.0")
}

func TestLocalLineEnds(t *testing.T) {
	for text, want := range map[string]string{
		"a\r\nb\r\n": "a\nb\n", "a\nb": "a\nb", "a\rb\r\r\n": "a\rb\r\n", "a\r": "a\r", "\r\r": "\r\r", "": "",
	} {
		for name, r := range map[string]io.Reader{"whole": strings.NewReader(text), "in bytes": iotest.OneByteReader(strings.NewReader(text))} {
			var b bytes.Buffer
			l := &localLines{w: &b}
			_, err := io.Copy(l, r)
			if err = errors.Join(err, l.flush()); err != nil || b.String() != want {
				t.Errorf("%q %s: %q, %v", text, name, b.String(), err)
			}
		}
	}
}

func TestRememberedEnvelopesAreBounded(t *testing.T) {
	var r recent
	for n := range recentMessages + 10 {
		r.remember(passage{token: fmt.Sprint(n)})
		r.remember(passage{token: fmt.Sprint(n)})
	}
	if len(r.known) != recentMessages || len(r.order) != recentMessages || r.knows(passage{token: "9"}) || !r.knows(passage{token: "10"}) {
		t.Errorf("%d and %d are remembered", len(r.known), len(r.order))
	}
}
