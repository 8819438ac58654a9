package faults

import (
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"permalink-milter/milter/mtatest"
	"permalink-milter/milter/mtatest/need"
)

// The daemon needs no right but to write its state directory and its socket's: user nobody runs it, as a member of the
// group by which Postfix reaches the socket.
func TestDaemonWithoutRights(t *testing.T) {
	group, err := user.LookupGroup("postfix")
	if err != nil {
		t.Fatalf("%v: install the Debian package postfix", err)
	}
	s := prepare(t, fmt.Sprintf("milter.socket_group = %q", group.Name))
	const nobody = `mkdir -p DIR/state DIR/run; chown nobody:nogroup DIR/state DIR/run
exec setpriv --reuid=nobody --regid=nogroup --groups=GID --bounding-set=-all --inh-caps=-all --no-new-privs`
	socket := filepath.Join(s.dir, "run", "milter")
	change(t, s.file(), func(b []byte) []byte { return []byte(strings.Replace(string(b), s.load.Addr, socket, 1)) })
	s.load.Addr = socket
	if s.Daemon, err = s.start(t, strings.ReplaceAll(nobody, "GID", group.Gid)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	info, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	if gid := fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid); info.Mode().Perm() != 0o660 || gid != group.Gid {
		t.Errorf("socket of mode %o and group %s", info.Mode().Perm(), gid)
	}
	sink, err := mtatest.StartSink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Stop()
	need.Program(t, "postfix", "postfix")
	postfix, err := mtatest.StartPostfix(limit(t), mtatest.Options{Dir: filepath.Join(s.dir, "mta"), Sink: sink.Addr(), Milters: []string{"unix:" + socket}})
	if err != nil {
		t.Fatal(err)
	}
	defer postfix.Stop()
	mail := mtatest.Mail{From: "a@example.org", To: []string{List}, Data: []byte("From: a@example.org\r\nMessage-ID: <1@example.org>\r\n\r\nhello\r\n")}
	if err := mtatest.Send(limit(t), postfix.Remote(), mail); err != nil {
		t.Fatal(err)
	}
	messages, err := sink.Wait(limit(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	if got := messages[0].Header("Archived-At"); len(got) != 1 || !strings.HasPrefix(got[0], "<"+URL) {
		t.Errorf("Archived-At %q", got)
	}
}
