package mtatest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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
