package mta

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
)

// A site is a Postfix with the daemon and a sink.
type site struct {
	postfix *Postfix
	daemon  *Daemon
	sink    *Sink
}

// startSite starts them; after are milters that run after ours.
func startSite(t *testing.T, after ...string) site {
	t.Helper()
	ctx, dir := limit(t), t.TempDir()
	openParents(t, dir)
	bin, err := BuildDaemon(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("inet:127.0.0.1:%d", port)
	daemon, err := StartDaemon(ctx, bin, dir, fmt.Sprintf(`
state_dir = %q
[milter]
listen = [%q]
[[archive]]
name = "a"
lists = ["*@lists.example.org"]
url = "https://a.example/{list}/{token}"
`, filepath.Join(dir, "state"), addr), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := daemon.Stop(); err != nil {
			t.Error(err)
		}
	})
	sink := startSink(t)
	postfix := startPostfix(t, Options{Dir: filepath.Join(dir, "postfix"), Milters: append([]string{addr}, after...), Sink: sink.Addr()})
	return site{postfix, daemon, sink}
}

// pass sends one message to a list through Postfix and returns what came out.
func (s site) pass(t *testing.T, addr, header string, body string) Message {
	t.Helper()
	s.sink.Reset()
	mail := Mail{From: "a@example.org", To: []string{"devel@lists.example.org"}, Data: []byte(header + "\r\n" + body)}
	if err := Send(limit(t), addr, mail); err != nil {
		t.Fatal(err)
	}
	return wait(t, s.sink, 1)[0]
}

// checkStamped verifies a delivered message's fields and returns its token.
func checkStamped(t *testing.T, m Message) string {
	t.Helper()
	ids, hashes, links := m.Raw("Message-ID"), m.Raw("Message-ID-MD5"), m.Raw("Archived-At")
	if len(ids) == 0 || len(hashes) != 1 || len(links) != 1 {
		t.Fatalf("fields %q %q %q in:\n%s", ids, hashes, links, m.RawHeader())
	}
	if err := hashheader.Verify(hashheader.MD5, hashes[0], hashheader.Canonical(nil, ids[0])); err != nil {
		t.Error(err)
	}
	url, err := hashheader.ParseArchivedAt(links[0])
	if err != nil {
		t.Error(err)
	}
	token := strings.TrimPrefix(url, "https://a.example/devel@lists.example.org/")
	if !strings.HasPrefix(token, strings.TrimSpace(hashes[0])) {
		t.Errorf("%s is not of hash %s", url, hashes[0])
	}
	return token
}

const common = "From: a@example.org\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\nTo: devel@lists.example.org\r\n"

func TestStampsOddMail(t *testing.T) {
	s := startSite(t)
	for name, header := range map[string]string{
		"a plain message":            common + "Message-ID: <1@example.org>\r\n",
		"no Message-ID":              common,
		"a folded Message-ID":        common + "Message-ID:\r\n <3@example.org>\r\n",
		"an 8-bit Message-ID":        common + "Message-ID: <gr\xfc@example.org>\r\n",
		"an empty Message-ID":        common + "Message-ID:\r\n",
		"forged and doubled fields":  common + "Message-ID: <5@example.org>\r\nMessage-ID-MD5: A\r\nMessage-ID-MD5: B\r\nArchived-At: <https://a.example/x>\r\nMessage-ID-MD5: C\r\n",
		"a header of 60 KB":          common + "Message-ID: <6@example.org>\r\nX-Long: " + strings.Repeat("x\r\n ", 20000) + "y\r\n",
		"several Message-ID fields":  common + "Message-ID: <7@example.org>\r\nMessage-ID: <8@example.org>\r\n",
		"a legacy field with its X-": common + "Message-ID: <9@example.org>\r\nX-Message-ID-Hash: ZZZ\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, addr := range []string{s.postfix.Remote(), s.postfix.Local()} {
				m := s.pass(t, addr, header, "hello\r\n")
				checkStamped(t, m)
				if got := m.Raw("X-Message-ID-Hash"); len(got) != 0 {
					t.Errorf("X-Message-ID-Hash: %q", got)
				}
			}
		})
	}
}

func TestSecondPassThroughPostfixChangesNothing(t *testing.T) {
	s := startSite(t)
	once := s.pass(t, s.postfix.Remote(), common+"Message-ID: <1@example.org>\r\n", "hello\r\n")
	twice := s.pass(t, s.postfix.Remote(), string(once.RawHeader()), "hello\r\n")
	ours := func(m Message) []string { return append(m.Raw("Message-ID-MD5"), m.Raw("Archived-At")...) }
	if !slices.Equal(ours(once), ours(twice)) {
		t.Errorf("%q became %q", ours(once), ours(twice))
	}
	if !strings.Contains(s.daemon.Stderr(), "message unchanged") {
		t.Errorf("no unchanged message in the log:\n%s", s.daemon.Stderr())
	}
}

func TestLargeBodyIsUntouched(t *testing.T) {
	s := startSite(t)
	body := strings.Repeat("0123456789012345678901234567890123456789012345678901234567890123456789\r\n", 140000)
	m := s.pass(t, s.postfix.Remote(), common+"Message-ID: <1@example.org>\r\n", body)
	checkStamped(t, m)
	if !bytes.Equal(bytes.TrimSpace(m.Body()), bytes.TrimSpace([]byte(body))) {
		t.Error("the body changed")
	}
}

func TestSendmailSubmission(t *testing.T) {
	s := startSite(t)
	message := []byte("From: a@example.org\nTo: devel@lists.example.org\nMessage-ID: <1@example.org>\n\nhello\n")
	if err := s.postfix.Sendmail(limit(t), "a@example.org", []string{"devel@lists.example.org"}, message); err != nil {
		t.Fatal(err)
	}
	checkStamped(t, wait(t, s.sink, 1)[0])
}

func TestCollidingIdsGetTheirOwnTokens(t *testing.T) {
	s := startSite(t)
	var tokens []string
	for _, letter := range []string{"A", "E", "A"} {
		id := "TEXTCOLLBYfGiJUETHQ4h" + letter + "cKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak"
		tokens = append(tokens, checkStamped(t, s.pass(t, s.postfix.Remote(), common+"Message-ID: <"+id+">\r\n", "hello\r\n")))
	}
	want := []string{"7KWUTBTOSSMPYFYZ6UUJ46QCNE", "7KWUTBTOSSMPYFYZ6UUJ46QCNE-2", "7KWUTBTOSSMPYFYZ6UUJ46QCNE"}
	if !slices.Equal(tokens, want) {
		t.Errorf("tokens %q, want %q", tokens, want)
	}
}

func TestListMessageToManyRecipients(t *testing.T) {
	s := startSite(t)
	var mails []Mail
	for i := range 5 {
		// VERP: each subscriber's copy has its own envelope sender.
		mails = append(mails, Mail{From: fmt.Sprintf("devel-bounces+%d=example.net@lists.example.org", i), To: []string{fmt.Sprintf("%d@example.net", i)},
			Data: []byte(common + "Message-ID: <1@example.org>\r\nList-Id: <devel.lists.example.org>\r\n\r\nhello\r\n")})
	}
	mails = append(mails, Mail{From: "devel-bounces@lists.example.org", To: []string{"x@example.net", "y@example.net"}, Data: mails[0].Data})
	for _, send := range []func(context.Context, string, ...Mail) error{Send, SendPipelined} {
		s.sink.Reset()
		if err := send(limit(t), s.postfix.Remote(), mails...); err != nil {
			t.Fatal(err)
		}
		tokens := make(map[string]bool)
		for _, m := range wait(t, s.sink, len(mails)) {
			tokens[checkStamped(t, m)] = true
		}
		if len(tokens) != 1 {
			t.Errorf("one message got the tokens %v", tokens)
		}
	}
}

func TestSMTPUTF8(t *testing.T) {
	s := startSite(t)
	mail := Mail{From: "grüße@example.org", To: []string{"devel@lists.example.org"}, SMTPUTF8: true,
		Data: []byte(common + "Subject: Grüße\r\nMessage-ID: <grüße@example.org>\r\n\r\nhello\r\n")}
	if err := Send(limit(t), s.postfix.Remote(), mail); err != nil {
		t.Fatal(err)
	}
	checkStamped(t, wait(t, s.sink, 1)[0])
}

func TestThousandsOfMessagesWhileTheDaemonIsKilled(t *testing.T) {
	const n = 1500
	s := startSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	mails := make([]Mail, n)
	for i := range mails {
		mails[i] = Mail{From: "a@example.org", To: []string{"devel@lists.example.org"},
			Data: fmt.Appendf(nil, "%sMessage-ID: <%d@example.org>\r\nSubject: %d\r\n\r\nhello\r\n", common, i, i)}
	}
	sent := make(chan error, 1)
	go func() { sent <- SendUntilAccepted(ctx, s.postfix.Remote(), 20, mails...) }()
	for _, end := range []func() error{s.daemon.Kill, s.daemon.Stop} {
		time.Sleep(300 * time.Millisecond)
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := s.daemon.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	messages, err := s.sink.Wait(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, m := range messages {
		seen[checkStamped(t, m)]++
	}
	if len(seen) != n || len(messages) != n {
		t.Errorf("%d messages with %d tokens, want %d of each", len(messages), len(seen), n)
	}
}
