package mtatest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPrintedLines runs what --print-mta postfix prints on a Postfix that has another milter, in a chroot and outside of
// one: both milters see the mail, and taking ours out again restores the lines.
func TestPrintedLines(t *testing.T) {
	for name, chroot := range map[string]bool{"in a chroot": true, "outside of one": false} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			openParents(t, dir)
			sink := startSink(t)
			other, _ := startStamper(t, "other")
			postfix := startPostfix(t, Options{Dir: filepath.Join(dir, "mta"), Sink: sink.Addr(), Chroot: chroot, Milters: []string{other}})
			sockets := filepath.Join(postfix.queue(), "permalink-milter")
			if err := os.Mkdir(sockets, 0o755); err != nil {
				t.Fatal(err)
			}
			startDaemon(t, dir, "unix:"+sockets+"/milter.sock", `socket_group = "postfix"`)
			run := func(script string) string {
				t.Helper()
				cmd := exec.CommandContext(limit(t), "sh", "-ec", script)
				cmd.Env = append(os.Environ(), "MAIL_CONFIG="+postfix.etc(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				return string(out)
			}
			was := run("postconf -h smtpd_milters non_smtpd_milters")
			add, remove, _ := strings.Cut(run(daemonBin+" --config "+dir+"/permalink-milter.toml --print-mta postfix"), "# To take it out again:\n")
			s := site{kind: postfixKind, mta: postfix, sink: sink}
			pass := func() Message {
				t.Helper()
				return s.pass(t, postfix.Remote(), common+"Message-ID: <1@example.org>\r\n", "hello\r\n")
			}
			run(add)
			m := pass()
			checkStamped(t, m)
			if got := m.Header("X-Stamp"); len(got) != 1 {
				t.Errorf("the other milter wrote %q", got)
			}
			if out := run(daemonBin + " --config " + dir + "/permalink-milter.toml --check"); strings.Contains(out, "warning") {
				t.Error(out)
			}
			run(strings.ReplaceAll(remove, "# ", ""))
			if got := run("postconf -h smtpd_milters non_smtpd_milters"); got != was {
				t.Errorf("restored %q, was %q", got, was)
			}
			m = pass()
			if len(m.Header("Message-ID-MD5")) != 0 || len(m.Header("X-Stamp")) != 1 {
				t.Errorf("after ours was taken out:\n%s", m.RawHeader())
			}
		})
	}
}

// TestObserving sends mail through a real MTA to a daemon that observes: it says what it would have done, and changes
// nothing, neither the message nor the registry. A reload ends that.
func TestObserving(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := startSite(t, k, Options{}, `mode = "observe"`)
			daemon := s.daemon
			header := common + "Message-ID: <1@example.org>\r\nMessage-ID-MD5: FORGED\r\n"
			m := s.pass(t, s.mta.Remote(), header, "hello\r\n")
			if got := m.Raw("Message-ID-MD5"); len(got) != 1 || strings.TrimSpace(got[0]) != "FORGED" || len(m.Raw("Archived-At")) != 0 {
				t.Errorf("the message was changed:\n%s", m.RawHeader())
			}
			log := daemon.Stderr()
			for _, want := range []string{"milter.mode is observe", `msg="message observed"`, "would_be=stamped", "outcomes=[reserved]", "https://a.example/devel@lists.example.org/"} {
				if !strings.Contains(log, want) {
					t.Errorf("no %s in the log:\n%s", want, log)
				}
			}
			text, err := os.ReadFile(daemon.configFile())
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(daemon.WriteConfig(strings.Replace(string(text), `"observe"`, `"stamp"`, 1)), daemon.Reload()); err != nil {
				t.Fatal(err)
			}
			waitFor(t, func() bool { return strings.Contains(daemon.Stderr(), "configuration reloaded") })
			// Had the first message been reserved, this one of another date would collide with it.
			m = s.pass(t, s.mta.Remote(), strings.Replace(header, "Date: ", "Date: Mon, 23 Nov 2026 11:00:00 +0000\r\nX-Old-Date: ", 1), "hello\r\n")
			if token := checkStamped(t, m); strings.Contains(token, "-") {
				t.Errorf("observing reserved a token: %s", token)
			}
		})
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	end := limit(t).Done()
	for !done() {
		select {
		case <-end:
			t.Fatal("it does not happen")
		case <-time.After(20 * time.Millisecond):
		}
	}
}
