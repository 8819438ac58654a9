package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"permalink-milter/config"
	"permalink-milter/milter/mtatest/need"
)

// checked returns the exit code of --check and what it printed.
func checked(t *testing.T, file string) (code int, out string) {
	t.Helper()
	cmd := exec.Command("permalink-milter", "--check", "--config", file)
	cmd.Env = append(os.Environ(), quickExit)
	text, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(text)
}

// The addresses of the running daemon are no finding; those that another
// program holds are.
func TestCheckKnowsTheRunningDaemon(t *testing.T) {
	t.Setenv("MAIL_CONFIG", "/nowhere")
	p := start(t, "milter.listen = [\"unix:DIR/s\", \"inet:127.0.0.1:"+freePort(t)+"\"]\n")
	if code, out := checked(t, p.file()); code != exitOK || strings.Contains(out, "warning") {
		t.Errorf("beside the daemon: %d, %s", code, out)
	}
	p.stop(t)
	for _, network := range []string{"tcp", "unix"} {
		address := map[string]string{"tcp": "127.0.0.1:0", "unix": filepath.Join(p.dir, "other")}[network]
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		scheme := map[string]string{"tcp": "inet:", "unix": "unix:"}[network]
		p.configure(t, "milter.listen = [\""+scheme+ln.Addr().String()+"\"]\n")
		code, out := checked(t, p.file())
		if want := "permalink-milter.test (process " + strconv.Itoa(os.Getpid()) + ") listens on " + ln.Addr().String(); code != exitUnavailable || !strings.Contains(out, want) {
			t.Errorf("%d, %s, want %s", code, out, want)
		}
		ln.Close()
	}
}

func TestCheckSaysOnceThatRedisIsDown(t *testing.T) {
	t.Setenv("MAIL_CONFIG", "/nowhere")
	file := filepath.Join(t.TempDir(), "c.toml")
	write(t, file, "milter.listen = [\"inet:127.0.0.1:0\"]\nstate_dir = \"state\"\nregistry.url = \"redis://127.0.0.1:"+freePort(t)+"\"\n")
	code, out := checked(t, file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitOK || len(lines) != 2 || !strings.Contains(lines[0], "connection refused: start the server") {
		t.Errorf("%d, %s", code, out)
	}
}

func TestCheckAsksRedis(t *testing.T) {
	t.Setenv("MAIL_CONFIG", "/nowhere")
	s := startRedis(t, "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
	if _, err := s.CLI("config", "set", "requirepass", "secret-word"); err != nil {
		t.Fatal(err)
	}
	file, secret := filepath.Join(t.TempDir(), "c.toml"), filepath.Join(t.TempDir(), "secret")
	write(t, secret, "secret-word\n")
	head := "milter.listen = [\"inet:127.0.0.1:0\"]\nstate_dir = \"state\"\n[registry]\nurl = \"redis://" + s.Addr() + "\"\n"
	for _, c := range []struct {
		more, command, want string
		code                int
	}{
		{"", "", "set registry.username and registry.password_file", exitConfig},
		{"password_file = \"" + secret + "\"\n", "", "maxmemory-policy allkeys-lru throws reservations away", exitConfig},
		{"password_file = \"" + secret + "\"\n", "config set maxmemory-policy noeviction", "set appendonly yes", exitOK},
		{"password_file = \"" + secret + "\"\n", "replicaof 127.0.0.1 1", "this is a replica", exitConfig},
	} {
		if c.command != "" {
			s.CLI(append([]string{"-a", "secret-word"}, strings.Fields(c.command)...)...)
		}
		write(t, file, head+c.more)
		if code, out := checked(t, file); code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("%s: %d, %s", c.want, code, out)
		}
	}
	s.Kill()
	if code, out := checked(t, file); code != exitOK || !strings.Contains(out, "warning: ") || !strings.Contains(out, "until then mail gets what registry.on_failure says") {
		t.Errorf("a server that is down: %d, %s", code, out)
	}
}

// Root checks the rights of the daemon's user, not its own.
func TestCheckOfTheDaemonsRights(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	if err := os.Chmod(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	nobody, err := lookUpAccount("nobody")
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "secret"), "x\n")
	c, problems := config.Parse(filepath.Join(dir, "c.toml"), []byte("state_dir = \"state\"\n[milter]\nlisten = [\"unix:"+dir+"/s\", \"inet:127.0.0.1:24\"]\nsocket_group = \"daemon\"\n"+
		"[registry]\nurl = \"redis://h\"\npassword_file = \"secret\"\n"))
	h := host{c: c, problems: problems, daemon: nobody}
	h.checkState()
	h.checkFiles()
	h.checkSocketAccess()
	h.checkListeners()
	text := ""
	if err := problems.Err(); err != nil {
		text = err.Error()
	}
	for _, want := range []string{"the user nobody cannot create it in " + dir, "the user nobody cannot create a socket in " + dir, "the user nobody may not open ports below",
		"the user nobody cannot read " + dir + "/secret", "nobody is no member of daemon"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// A user who may not open a port gets the hint that root gets for that user.
func TestCheckOfAPortThatOnlyRootMayOpen(t *testing.T) {
	need.Root(t)
	problems := new(config.Problems)
	h := host{problems: problems, daemon: account{name: "nobody", uid: 65534, self: true}}
	var wg sync.WaitGroup
	wg.Go(func() {
		runtime.LockOSThread() // for good: the thread ends with its user
		if _, _, err := syscall.RawSyscall(syscall.SYS_SETRESUID, 65534, 65534, 65534); err != 0 {
			t.Error(err)
			return
		}
		h.checkPort("milter.listen[0]", "tcp4", "127.0.0.1:24")
	})
	wg.Wait()
	if err := problems.Err(); err == nil || !strings.Contains(err.Error(), "take a higher port, or let systemd open it") {
		t.Error(err)
	}
}

// What Postfix says is compared with what it can reach.
func TestCheckOfPostfix(t *testing.T) {
	queue := t.TempDir()
	for _, c := range []struct{ listen, smtpd, other, want string }{
		{"inet:127.0.0.1:8899", "inet:127.0.0.1:8891", "$smtpd_milters", "Postfix's smtpd_milters has no milter at an address of this daemon"},
		{"inet:127.0.0.1:8899", "{ inet:localhost:8899, default_action=tempfail } inet:127.0.0.1:8891", "", "Postfix's non_smtpd_milters has no milter"},
		{"inet:127.0.0.1:8899", "{ inet:localhost:8899, default_action=tempfail }", "$smtpd_milters", ""},
		{"inet6:[::1]:8899", "inet:[::1]:8899", "$smtpd_milters", ""},
		{"unix:/run/p/s", "unix:/run/p/s", "$smtpd_milters", "Postfix's smtpd runs in a chroot and cannot see /run/p/s"},
		{"unix:" + queue + "/p/s", "unix:/p/s", "$smtpd_milters", ""},
		{"unix:" + queue + "/p/s", "unix:p/s", "$smtpd_milters", ""},
		{"systemd:milter", "inet:127.0.0.1:8899", "$smtpd_milters", ""},
	} {
		confPostfix(t, c.smtpd, c.other, "queue_directory = "+queue+"\n")
		loaded, problems := config.Parse("c.toml", []byte("milter.listen = [\""+c.listen+"\"]\n"))
		h := host{c: loaded, problems: problems, daemon: ownAccount()}
		h.checkMTA()
		var out []string
		for _, p := range problems.All() {
			out = append(out, text("c.toml", p))
		}
		if got := strings.Join(out, "\n"); !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s for %s: %q, want %q", c.smtpd, c.listen, got, c.want)
		}
	}
}

// Postfix's user must be let in by the socket's group or its directory.
func TestCheckOfPostfixsRights(t *testing.T) {
	need.Root(t)
	need.Program(t, "postconf", "postfix")
	queue := t.TempDir()
	for dir := queue; dir != "/"; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil && info.Mode()&1 == 0 {
			os.Chmod(dir, 0o755)
		}
	}
	gid, err := groupID("postfix")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(queue, "p")
	for _, c := range []struct {
		mode os.FileMode
		gid  int
		want string
	}{{0o750, 0, "cannot reach sockets in"}, {0o755, 0, "may not connect to"}, {0o750 | os.ModeSetgid, gid, ""}} {
		os.Remove(dir)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		os.Chown(dir, 0, c.gid)
		os.Chmod(dir, c.mode)
		confPostfix(t, "unix:p/s", "$smtpd_milters", "queue_directory = "+queue+"\n")
		loaded, problems := config.Parse("c.toml", []byte("milter.listen = [\"unix:"+dir+"/s\"]\n"))
		h := host{c: loaded, problems: problems, daemon: ownAccount()}
		h.checkMTA()
		got := ""
		for _, p := range problems.All() {
			got += text("c.toml", p)
		}
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("mode %v: %q, want %q", c.mode, got, c.want)
		}
	}
}
