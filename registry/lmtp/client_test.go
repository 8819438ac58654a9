package lmtp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

func TestDeliverNegotiates(t *testing.T) {
	s := start(t, nil)
	for _, step := range []struct {
		name, id, token, text string
		tries                 int
	}{
		{"the first message gets the hash", aliceID, hash, "> Archived as", 1},
		{"the second one gets the next token", bobID, hash + "-2", "> Archived as", 2},
		{"the first one again is known, though another envelope took its token", aliceID, hash, "> Already archived as", 2},
		{"the second one again is known", bobID, hash + "-2", "> Already archived as", 2},
	} {
		r := request(s.addr)
		r.From = strings.ToLower(step.id[21:22]) + "@example.org"
		if step.token == hash && step.tries == 2 {
			r.From = "elsewhere@example.org"
		}
		got, err := Deliver(t.Context(), r, strings.NewReader(message1(step.id)))
		if err != nil || got.Token != step.token || got.Tries != step.tries || !strings.Contains(got.Text, step.text) {
			t.Errorf("%s: %+v, %v", step.name, got, err)
		}
	}
	if got := stored(t, s.devel); len(got) != 2 {
		t.Errorf("%d messages are stored", len(got))
	}
}

func TestDeliverWithAClaimNeedsOneReplyLess(t *testing.T) {
	for _, c := range []struct {
		fields []string
		tries  int
	}{{nil, 3}, {[]string{"message-id", "date"}, 2}} {
		s := start(t, nil)
		s.reserve(t, aliceID)
		s.reserve(t, bobID)
		if _, err := Deliver(t.Context(), request(s.addr), strings.NewReader(message1(aliceID))); err != nil {
			t.Fatal(err)
		}
		r := request(s.addr)
		r.Identity, r.From = c.fields, "bob@example.net"
		got, err := Deliver(t.Context(), r, strings.NewReader(message1(bobID)))
		if err != nil || got.Token != hash+"-2" || got.Tries != c.tries {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

func TestDeliverSendsAsItIs(t *testing.T) {
	s := start(t, nil)
	text := "From alice Tue Nov 24 11:00:00 2026\nFrom: a@example.org\nDate: x\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMessage-ID: <" + aliceID + ">\n\n.\n..dots\nnul \x00, 8-bit \xe9, CR \r in a line\nend\n"
	r := request("unix:" + s.unix(t))
	r.ListName = "devel"
	got, err := Deliver(t.Context(), r, strings.NewReader(text))
	if err != nil || got.Token != hash {
		t.Fatalf("%+v, %v", got, err)
	}
	content := stored(t, s.devel)[0]
	head, rest, _ := strings.Cut(content, "\nFrom: a")
	want := "Return-Path: <a@example.org>\nDelivered-To: " + hash + "+devel@archive.example.org\nReceived: from client.example.org by archive.example.org with LMTP for <" + hash + "+devel@archive.example.org>;\n\t"
	expect(t, head, want)
	if !strings.HasSuffix(text, "From: a"+rest) {
		t.Errorf("stored:\n%q\nsent:\n%q", content, text)
	}
	held, err := s.registry.Lookup(t.Context(), devel, hash)
	if err != nil || held.State != registry.Archived || held.URL != "https://lists.example.org/"+hash || held.Subject != "Grüße" {
		t.Errorf("%+v, %v", held, err)
	}
}

// unix makes the server listen on a socket too.
func (s site) unix(t *testing.T) string {
	t.Helper()
	path := t.TempDir() + "/s"
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s.server, ln)
	return path
}

func TestDeliverFromManyClientsAtOnce(t *testing.T) {
	s := start(t, nil)
	const messages, copies = 12, 3
	var wg sync.WaitGroup
	for n := range messages * copies {
		wg.Go(func() {
			// All have one Message-ID, and a third of them one date.
			text := fmt.Sprintf("From: a@example.org\nDate: %d\nMessage-ID: <%s>\n\nhello\n", n%messages, aliceID)
			if _, err := Deliver(t.Context(), request(s.addr), strings.NewReader(text)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := stored(t, s.devel); len(got) != messages {
		t.Errorf("%d messages are stored, want %d", len(got), messages)
	}
}

// script runs a server that says what answer returns for each line that it is
// sent; "" says nothing.
func script(t *testing.T, answer func(line string) string) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				fmt.Fprint(nc, "220 ready\r\n")
				for lines := bufio.NewScanner(nc); lines.Scan(); {
					reply := answer(lines.Text())
					if reply == "hang up" {
						return
					}
					fmt.Fprint(nc, reply)
				}
			})
		}
	})
	return ln.Addr().String()
}

// archiveLike answers as an archive of another make, but for what it is told.
func archiveLike(prefix, reply string) func(string) string {
	return func(line string) string {
		for _, r := range [][2]string{{prefix, reply}, {"LHLO", "250 hello\r\n"}, {"MAIL", "250 ok\r\n"}, {"RCPT", "250 ok\r\n"}, {"DATA", "354 go\r\n"}, {"QUIT", "221 bye\r\n"}} {
			if strings.HasPrefix(line, r[0]) {
				return r[1]
			}
		}
		if line == "." {
			return "250 fine\r\n"
		}
		return ""
	}
}

func TestDeliverToOtherServers(t *testing.T) {
	for name, c := range map[string]struct {
		prefix, reply string
		want          error
		token, text   string
	}{
		"a reply without a token":                    {"RCPT TO:<" + hash + "@", "553 taken\r\n", nil, hash + "-2", "fine"},
		"a token of another hash is not taken":       {"RCPT TO:<" + hash + "@", "553 try <VP3JZR3MSKY5TQSMS5FHURHQXI-9@archive.example.org>\r\n", nil, hash + "-2", "fine"},
		"a token of another archive is not taken":    {"RCPT TO:<" + hash + "@", "553 try <" + hash + "-9@evil.example>\r\n", nil, hash + "-2", "fine"},
		"the token in the text is taken":             {"RCPT TO:<" + hash + "@", "553 5.1.0 try <" + hash + "-9@archive.example.org>, or not\r\n", nil, hash + "-9", "fine"},
		"every token is occupied":                    {"RCPT", "553 taken\r\n", ErrRefused, "", "the last one tried was " + hash + "-20"},
		"it offers the same token for ever":          {"RCPT", "553 try <" + hash + "@archive.example.org>\r\n", ErrRefused, "", "all of 20 tokens"},
		"it offers a token beyond the last":          {"RCPT", "553 try <" + hash + "-999@archive.example.org>\r\n", ErrRefused, "", "553 try"},
		"the recipient is put off":                   {"RCPT", "451 later\r\n", ErrTemporary, "", "451 later"},
		"the recipient is refused":                   {"RCPT", "550 5.1.1 no\r\n", ErrRefused, "", "550 no"},
		"the message is refused":                     {".", "554 5.6.0 no\r\n", ErrRefused, "", "554 no"},
		"the message is put off":                     {".", "452 full\r\n", ErrTemporary, "", "452 full"},
		"the message is taken before it is sent":     {"DATA", "250 fine\r\n", ErrTemporary, "", "fine"},
		"it never stops talking":                     {".", strings.Repeat("250-fine\r\n", maxReplies/8), ErrTemporary, "", "the server says more"},
		"the connection breaks":                      {"DATA", "hang up", ErrTemporary, "", "EOF"},
		"it greets and hangs up":                     {"LHLO", "hang up", ErrTemporary, "", "EOF"},
		"551 is no invitation (RFC 5321, section 3)": {"RCPT", "551 try <" + hash + "-2@archive.example.org>\r\n", ErrRefused, "", "551"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Deliver(t.Context(), request(script(t, archiveLike(c.prefix, c.reply))), strings.NewReader(message1(aliceID)))
			if !errors.Is(err, c.want) || got.Token != c.token || !strings.Contains(got.Text+fmt.Sprint(err), c.text) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

// A server's reply must not reach the terminal as commands to it.
func TestDeliverSpellsOutControlCharacters(t *testing.T) {
	for name, c := range map[string]struct{ prefix, reply, want string }{
		"a refusal":           {"RCPT", "550-5.1.1 no\x1b[2J\r\n550 5.1.1 \u202enever\r\n", `550 no\u001b[2J \u202enever`},
		"a success":           {".", "250 2.1.5 \x1b]0;title\x07\xff\r\n", `\u001b]0;title\u0007\xff`},
		"a line of no reply":  {"MAIL", "x\x1b[31m\r\n", `x\x1b[31m`},
		"a greeting refused":  {"LHLO", "554 5.0.0 \x1b[31m\r\n", `\u001b[31m`},
		"a temporary refusal": {"RCPT", "451 4.0.0 \x9b31m\r\n", `\x9b31m`},
	} {
		got, err := Deliver(t.Context(), request(script(t, archiveLike(c.prefix, c.reply))), strings.NewReader(message1(aliceID)))
		if shown := got.Text + fmt.Sprint(err); !strings.Contains(shown, c.want) || strings.ContainsAny(shown, "\x1b\x07\n\u202e") {
			t.Errorf("%s: %q", name, shown)
		}
	}
}

func TestDeliverErrors(t *testing.T) {
	good := message1(aliceID)
	for name, c := range map[string]struct {
		change  func(*Request)
		message string
		want    string
	}{
		"nobody listens":           {func(r *Request) { r.Server = "unix:/nonexistent" }, good, "try again later: unix:/nonexistent"},
		"an address without port":  {func(r *Request) { r.Server = "localhost" }, good, "write host:port or unix:/path"},
		"an archive that is none":  {func(r *Request) { r.Domain = "a b" }, good, "not a permalink"},
		"a list with a space":      {func(r *Request) { r.ListName = "a b" }, good, "not a permalink"},
		"a line end in the sender": {func(r *Request) { r.Server, r.From = start(t, nil).addr, "a\r\nRSET" }, good, "without angle brackets"},
		"nothing to hash":          {func(*Request) {}, "Subject: x\n\n", "no Message-ID"},
		"an endless header":        {func(*Request) {}, "X: " + strings.Repeat("x", hashheader.MaxSectionSize), "header section of more than"},
	} {
		r := request("127.0.0.1:1")
		c.change(&r)
		if _, err := Deliver(t.Context(), r, strings.NewReader(c.message)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeliverEndsWithItsContext(t *testing.T) {
	addr := script(t, func(string) string { return "" })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := Deliver(ctx, request(addr), strings.NewReader(message1(aliceID))); !errors.Is(err, ErrTemporary) {
		t.Error(err)
	}
}
