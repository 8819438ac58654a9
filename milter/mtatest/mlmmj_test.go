package mtatest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest/need"
)

// The people around the list of the test.
const (
	mlmmjList      = "devel@lists.example.org"
	mlmmjMember    = "alice@example.org"
	mlmmjStranger  = "new@example.com"
	mlmmjDigester  = "digester@example.org"
	mlmmjOwner     = "owner@example.net"
	mlmmjModerator = "moderator@example.net"
)

// An mlmmj is Debian's list manager with one list, which sends through a site.
// It has no daemon: its programs do one thing each, and end.
type mlmmj struct {
	site
	t    *testing.T
	bin  string // where its programs are
	list string // the list's folder
}

// TestMlmmj sends what mlmmj sends through the milter: posts get the permalink
// of their copy in its archive, and nothing else gets one.
func TestMlmmj(t *testing.T) {
	l := startMlmmj(t)
	l.receive(mlmmjMember, mlmmjList, "a post")
	l.receive(mlmmjStranger, mlmmjList, "not by a member")
	for _, command := range []string{"subscribe", "help", "faq", "owner"} {
		l.receive(mlmmjStranger, "devel+"+command+"@lists.example.org", "to "+command)
	}
	l.receive(mlmmjStranger, l.detail("confsub", "subconf"), "yes")
	l.receive(mlmmjMember, "devel+unsubscribe@lists.example.org", "to unsubscribe")
	l.wait(mlmmjStranger, "Welcome")
	l.set("moderated", "")
	l.receive(mlmmjMember, mlmmjList, "held")
	l.receive(mlmmjModerator, l.detail("release", "moderation"), "yes")
	l.wait(mlmmjStranger, "held")
	l.run(nil, "mlmmj-maintd", "-F", "-L", l.list)
	for _, want := range []struct{ to, subject string }{
		{mlmmjMember, "a post"}, {mlmmjMember, "held"},
		{mlmmjStranger, "denied"}, {mlmmjStranger, "Confirm_subscription"}, {mlmmjStranger, "Information_for"}, {mlmmjStranger, "Frequently"},
		{mlmmjOwner, "to owner"}, {"devel+owner@lists.example.org", "Subscribed"},
		{mlmmjMember, "Confirm_unsubscribe"}, {mlmmjModerator, "moderate"}, {mlmmjDigester, "Digest_of"},
	} {
		l.wait(want.to, want.subject)
	}
	archived := l.archived()
	if len(archived) != 2 {
		t.Errorf("mlmmj's archive has %q", archived)
	}
	for _, m := range l.sink.Messages() {
		l.check(m, archived)
	}
}

// check opens a message's link in mlmmj's archive.
func (l *mlmmj) check(m Message, archived []string) {
	l.t.Helper()
	id := hashheader.Canonical(nil, strings.Join(m.Raw("Message-ID"), ""))
	links := m.Raw("Archived-At")
	if !slices.Contains(archived, string(id)) {
		if len(links) > 0 {
			l.t.Errorf("%s: the link %q does not open, in:\n%s", m.To, links, m.RawHeader())
		}
		return
	}
	if token := checkStamped(l.t, m); !strings.HasPrefix(strings.Join(m.Raw("Message-ID-MD5"), ""), " "+token) {
		l.t.Errorf("%s: the token %s in:\n%s", m.To, token, m.RawHeader())
	}
}

// TestMlmmjCommands sends mail to mlmmj's addresses, which are no lists: no
// address of a subscriber and no cookie gets into the registry.
func TestMlmmjCommands(t *testing.T) {
	s := startSite(t, postfixKind, Options{})
	for _, detail := range []string{"subscribe", "subscribe-digest", "unsubscribe", "confsub-6cae99555f9a1301-new=example.com",
		"bounces-1-alice=example.org", "help", "get-1", "list", "owner", "release-285eb8491e0fd3d0"} {
		s.sink.Reset()
		to := "devel+" + detail + "@lists.example.org"
		data := fmt.Sprintf("From: <%s>\nTo: <%s>\nMessage-ID: <%s@example.com>\n\nx\n", mlmmjStranger, to, strings.ReplaceAll(detail, "=", "-"))
		if err := Send(limit(t), s.mta.Remote(), Mail{From: mlmmjStranger, To: []string{to}, Data: []byte(data)}); err != nil {
			t.Fatal(err)
		}
		if links := wait(t, s.sink, 1)[0].Raw("Archived-At"); len(links) > 0 {
			t.Errorf("mail to %s has the link %q", to, links)
		}
	}
}

func startMlmmj(t *testing.T) *mlmmj {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(cache, "permalink-milter", "mlmmj")
	need.File(t, tree, "testdata/unpack.sh mlmmj mlmmj")
	l := &mlmmj{site: startSite(t, postfixKind, Options{}), t: t, bin: filepath.Join(tree, "usr/bin")}
	spool := t.TempDir()
	l.list = filepath.Join(spool, "devel")
	answers := fmt.Sprintf("lists.example.org\n%s\n%s\n", mlmmjOwner, filepath.Join(tree, "usr/share/mlmmj/text.skel/en"))
	l.run([]byte(answers), "mlmmj-make-ml", "-L", "devel", "-s", spool)
	host, port, _ := net.SplitHostPort(l.mta.Local())
	for name, value := range map[string]string{"relayhost": host, "smtpport": port, "moderators": mlmmjModerator, "subonlypost": "", "notifysub": "",
		"digestinterval": "0", "digestmaxmails": "1",
		"customheaders": "List-Id: <devel.lists.example.org>\nList-Post: <mailto:devel@lists.example.org>"} {
		l.set(name, value)
	}
	for folder, address := range map[string]string{"subscribers.d": mlmmjMember, "digesters.d": mlmmjDigester} {
		if err := os.WriteFile(filepath.Join(l.list, folder, address[:1]), []byte(address+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// set writes a file of the list's configuration.
func (l *mlmmj) set(name, value string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.list, "control", name), []byte(value+"\n"), 0o600); err != nil {
		l.t.Fatal(err)
	}
}

func (l *mlmmj) run(stdin []byte, program string, args ...string) {
	l.t.Helper()
	cmd := exec.CommandContext(limit(l.t), filepath.Join(l.bin, program), args...)
	cmd.Stdin = bytes.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("%s: %v: %s", program, err, out)
	}
}

// receive hands mlmmj a message as an MTA does that has taken it in.
func (l *mlmmj) receive(from, to, subject string) {
	l.t.Helper()
	data := fmt.Sprintf("Return-Path: <%s>\nDelivered-To: %s\nFrom: <%s>\nTo: <%s>\nSubject: %s\nDate: Tue, 24 Nov 2026 11:00:00 +0000\n"+
		"Message-ID: <%x@example.org>\n\nhello\n", from, to, from, to, subject, subject)
	l.run([]byte(data), "mlmmj-receive", "-F", "-L", l.list)
}

// detail returns the address with the cookie in the name of the one file of a
// folder, for which it waits: mlmmj-receive does not wait for what it starts.
func (l *mlmmj) detail(command, folder string) string {
	l.t.Helper()
	var cookies []os.DirEntry
	until(l.t, func() (err error) {
		if cookies, err = os.ReadDir(filepath.Join(l.list, folder)); err == nil && len(cookies) != 1 {
			err = fmt.Errorf("%d files in %s", len(cookies), folder)
		}
		return err
	})
	return "devel+" + command + "-" + cookies[0].Name() + "@lists.example.org"
}

func (l *mlmmj) wait(to, subject string) {
	l.t.Helper()
	waitSubject(l.t, l.sink, to, subject)
}

// waitSubject waits for a message to an address with such a subject.
func waitSubject(t *testing.T, sink *Sink, to, subject string) {
	t.Helper()
	until(t, func() error {
		var came []string
		for _, m := range sink.Messages() {
			came = append(came, fmt.Sprint(m.To, m.Header("Subject")))
			if slices.Contains(m.To, to) && strings.Contains(strings.Join(m.Header("Subject"), ""), subject) {
				return nil
			}
		}
		return fmt.Errorf("%s got no message %q; these came: %q", to, subject, came)
	})
}

func until(t *testing.T, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// archived returns the Message-IDs in mlmmj's archive.
func (l *mlmmj) archived() (ids []string) {
	l.t.Helper()
	names, err := filepath.Glob(filepath.Join(l.list, "archive", "*"))
	if err != nil {
		l.t.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			l.t.Fatal(err)
		}
		m := Message{Data: bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n"))}
		ids = append(ids, string(hashheader.Canonical(nil, strings.Join(m.Raw("Message-ID"), ""))))
	}
	return ids
}
