package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/hashheader/golden"
	"permalink-milter/milter/mtatest"
	"permalink-milter/milter/mtatest/need"
)

// besideConfig is that of a daemon that holds a bolt file in DIR.
const besideConfig = `state_dir = "DIR"
[milter]
listen = ["unix:DIR/milter.sock"]
[[archive]]
name = "pages"
lists = ["*@lists.example.org"]
url = "https://lists.example.org/{list}/{token}"
`

// buildDaemon builds the daemon, once for all tests, and returns its program.
var buildDaemon = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "permalink-test")
	if err != nil {
		return "", err
	}
	ended = append(ended, func() { os.RemoveAll(dir) })
	return mtatest.BuildDaemon(context.Background(), dir)
})

// startDaemon starts the daemon in a directory.
func startDaemon(dir string) (*mtatest.Daemon, error) {
	bin, err := buildDaemon()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return mtatest.StartDaemon(ctx, bin, dir, strings.ReplaceAll(besideConfig, "DIR", dir), "unix:"+setup.ControlSocket(dir))
}

// Each script runs the tool beside a daemon whose state directory is
// $WORK/state.
func TestScriptsBesideTheDaemon(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/beside", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: golden.Update(),
		Setup: func(env *testscript.Env) error {
			dir := filepath.Join(env.WorkDir, "state")
			if err := os.MkdirAll(dir, 0o750); err != nil {
				return err
			}
			daemon, err := startDaemon(dir)
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := daemon.Stop(); err != nil {
					t.Error(err)
				}
			})
			return nil
		}})
}

func TestManyMessagesGoThroughTheSocket(t *testing.T) {
	need.Time(t, "it imports 20,000 messages")
	dir := t.TempDir()
	daemon, err := startDaemon(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Stop() })
	const n = 10_000
	took := make(map[string]time.Duration)
	for _, where := range []string{"config", "bolt:" + filepath.Join(dir, "direct.db")} {
		began := time.Now()
		code, out, errs := permalink(t, strings.NewReader(importMbox(n)), "import", "--list", develList, "--config", filepath.Join(dir, "permalink-milter.toml"), "--registry", where)
		if want := fmt.Sprintf("%d messages: %d archived", n, n); code != exitOK || !strings.Contains(out, want) {
			t.Fatalf("%s: exit %d, want %q: %.2000s%s", where, code, want, out, errs)
		}
		took[where[:4]] = time.Since(began)
	}
	t.Logf("%d messages through the socket in %v, directly in %v", n, took["conf"], took["bolt"])
	if strings.Contains(daemon.Stderr(), "confirmed") {
		t.Error("an import fills the daemon's log")
	}
}

// permalinkAs runs the real main as a user and group without a name.
func permalinkAs(t *testing.T, id uint32, args ...string) (code int, output string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "permalink") // others may pass through to it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = errors.Join(os.Chmod(dir, 0o755), os.WriteFile(filepath.Join(dir, "permalink"), program, 0o755))
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "permalink"), args...)
	cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestWhoMayNotOpenTheSocketIsToldHow(t *testing.T) {
	need.Root(t)
	dir, err := os.MkdirTemp("", "state")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const mail = 8
	daemon, err := startDaemon(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Stop() })
	config := filepath.Join(dir, "permalink-milter.toml")
	for _, mode := range []os.FileMode{0o755, 0o750} { // the second hides the socket, too
		if err := errors.Join(os.Chown(dir, 0, mail), os.Chown(setup.ControlSocket(dir), 0, mail), os.Chmod(dir, mode)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(config)
		outside := filepath.Join(t.TempDir(), "c.toml")
		if err == nil {
			err = os.WriteFile(outside, text, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		for d := filepath.Dir(outside); d != os.TempDir(); d = filepath.Dir(d) {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		code, out := permalinkAs(t, 65534, "lookup", "--config", outside, "--all")
		if code != exitConfig || !strings.Contains(out, "control.sock: permission denied: run this as root, or as a member of the group mail: usermod -aG mail USER") {
			t.Errorf("%v: exit %d: %s", mode, code, out)
		}
	}
}
