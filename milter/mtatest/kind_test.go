package mtatest

import (
	"bytes"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"permalink-milter/milter/miltertest"
)

func TestSendmailsOwnMessageIDIsTheOneHashed(t *testing.T) {
	s := startSite(t, sendmailKind, Options{})
	for range 2 {
		m := s.pass(t, s.mta.Remote(), common, "hello\r\n")
		if got := m.Header("Message-ID"); len(got) != 1 || !strings.HasSuffix(got[0], "@mx.example.org>") {
			t.Errorf("Message-ID %q is not Sendmail's", got)
		}
		checkStamped(t, m)
	}
	if got := strings.Count(s.daemon.Stderr(), "no Message-ID, the MTA adds its own"); got != 2 {
		t.Errorf("%d notes of Sendmail's id in the log:\n%s", got, s.daemon.Stderr())
	}
}

func TestOrderOfFields(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := startSite(t, k, Options{})
			m := s.pass(t, s.mta.Remote(), "Message-ID-MD5: A\r\n"+common+"Archived-At: <https://elsewhere.example/>\r\nMessage-ID: <1@example.org>\r\nX-Last: x\r\n", "hello\r\n")
			var names []string
			for _, field := range m.Fields() {
				name, _, _ := strings.Cut(field, ":")
				names = append(names, name)
			}
			if !slices.Equal(names, k.order) {
				t.Errorf("order %q, want %q", names, k.order)
			}
		})
	}
}

// TestPostfixInAChroot has the daemon's socket inside the queue directory, which is all that the SMTP server sees, and
// lets the group postfix write to it. The address in main.cf begins at the queue directory.
func TestPostfixInAChroot(t *testing.T) {
	dir := t.TempDir()
	openParents(t, dir)
	group, err := user.LookupGroup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, "mta", "queue", "permalink")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	daemon := startDaemon(t, dir, "unix:"+filepath.Join(folder, "milter.sock"), fmt.Sprintf("socket_group = %q", group.Name))
	sink := startSink(t)
	postfix := startPostfix(t, Options{Dir: filepath.Join(dir, "mta"), Sink: sink.Addr(), Chroot: true, Milters: []string{"unix:/permalink/milter.sock"}})
	s := site{postfixKind, postfix, daemon, sink}
	checkStamped(t, s.pass(t, postfix.Remote(), common+"Message-ID: <1@example.org>\r\n", "hello\r\n"))
	sink.Reset()
	stampsSendmailCommand(t, s)
}

// TestSnippetsStampMail loads the files of configuration that operators get, with nothing but the port changed.
func TestSnippetsStampMail(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			dir := t.TempDir()
			openParents(t, dir)
			number, err := FreePort()
			if err != nil {
				t.Fatal(err)
			}
			daemon := startDaemon(t, dir, fmt.Sprintf("inet:127.0.0.1:%d", number))
			sink := startSink(t)
			s := site{k, k.start(t, Options{Dir: filepath.Join(dir, "mta"), Sink: sink.Addr(), ExtraMain: k.snippetLines(t, strconv.Itoa(number))}), daemon, sink}
			checkStamped(t, s.pass(t, s.mta.Remote(), common+"Message-ID: <1@example.org>\r\n", "hello\r\n"))
			daemonDownIsATemporaryFailure(t, s)
		})
	}
}

// snippetLines reads the file with the daemon at another port.
func (k kind) snippetLines(t *testing.T, port string) (lines []string) {
	t.Helper()
	text, err := os.ReadFile(k.snippet)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, k.comment) {
			lines = append(lines, strings.ReplaceAll(strings.TrimSpace(line), k.address("127.0.0.1", "8899"), k.address("127.0.0.1", port)))
		}
	}
	return lines
}

// TestSessionsAreAsTheModelHasThem holds the model by which whole sessions are fuzzed to what the MTAs really send.
func TestSessionsAreAsTheModelHasThem(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			dir := t.TempDir()
			openParents(t, dir)
			port, err := FreePort()
			if err != nil {
				t.Fatal(err)
			}
			addr := fmt.Sprintf("127.0.0.1:%d", port)
			daemon := startDaemon(t, dir, "inet:"+addr)
			recorder, err := miltertest.Record(t.Context(), addr)
			if err != nil {
				t.Fatal(err)
			}
			sink := startSink(t)
			s := site{k, k.start(t, Options{Dir: filepath.Join(dir, "mta"), Sink: sink.Addr(), Milters: []string{"inet:" + recorder.Addr()}}), daemon, sink}
			removesForgedFields(t, s)
			sink.Reset()
			keepsMessagesOfOneConnectionApart(t, s)
			s.pass(t, s.mta.Remote(), common, "no Message-ID\r\n")
			if err := s.mta.Stop(); err != nil {
				t.Fatal(err)
			}
			recorder.Close()
			checkSessions(t, recorder.Sessions(), 12)
		})
	}
}

// checkSessions wants so many messages in all.
func checkSessions(t *testing.T, sessions []miltertest.Session, messages int) {
	t.Helper()
	ends := 0
	for _, session := range sessions {
		if err := miltertest.Check(session.Stream, session.Replies, 2000, 1<<20); err != nil {
			t.Error(err)
		}
		for r := bytes.NewReader(session.Stream); ; {
			p, err := miltertest.Read(r)
			if err != nil {
				break
			}
			if p.Code == 'E' {
				ends++
			}
		}
	}
	if ends != messages {
		t.Errorf("%d messages in %d sessions, want %d", ends, len(sessions), messages)
	}
}
