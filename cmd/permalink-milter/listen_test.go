package main

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"permalink-milter/config"
	"permalink-milter/milter/mtatest"
	"permalink-milter/milter/mtatest/need"
)

func freePort(t *testing.T) string {
	t.Helper()
	port, err := mtatest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return strconv.Itoa(port)
}

func TestEveryKindOfListenerServes(t *testing.T) {
	v4, v6 := "127.0.0.1:"+freePort(t), "[::1]:"+freePort(t)
	p := start(t, "milter.listen = [\"inet:"+v4+"\", \"inet6:"+v6+"\", \"unix:DIR/s\"]\n")
	for network, addr := range map[string]string{"tcp4": v4, "tcp6": v6, "unix": p.socket()} {
		if fields := connect(t, network, addr).begin(messageID).end(); len(fields) != 1 {
			t.Errorf("%s: %q", addr, fields)
		}
	}
	p.stop(t)
}

func TestUnixSocketsHaveTheirModeOwnerAndGroup(t *testing.T) {
	need.Root(t) // who alone gives a socket away
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	group, err := user.LookupGroup("mail")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, config, uid, gid string
		mode                   os.FileMode
	}{
		{"by default the daemon's own, closed to others", "", "0", "0", 0o660},
		{"as configured", "[milter]\nlisten = [\"unix:DIR/s\"]\nsocket_mode = \"0620\"\nsocket_owner = \"nobody\"\nsocket_group = \"mail\"\n",
			nobody.Uid, group.Gid, 0o620},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := start(t, test.config)
			info, err := os.Stat(p.socket())
			if err != nil {
				t.Fatal(err)
			}
			stat := info.Sys().(*syscall.Stat_t)
			if info.Mode().Perm() != test.mode || strconv.Itoa(int(stat.Uid)) != test.uid || strconv.Itoa(int(stat.Gid)) != test.gid {
				t.Errorf("%v, owner %d, group %d", info.Mode(), stat.Uid, stat.Gid)
			}
			p.stop(t)
		})
	}
}

// The owner of the folder may put a link or a file in the place of the socket
// before the daemon, as root, gives it away.
func TestOnlyASocketIsGivenAway(t *testing.T) {
	dir := t.TempDir()
	target, link := filepath.Join(dir, "shadow"), filepath.Join(dir, "s")
	write(t, target, "keep me")
	if err := errors.Join(os.Chmod(target, 0o600), os.Symlink(target, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{link, target} {
		if err := (access{0o666, -1, -1}).give(path); err == nil {
			t.Errorf("%s is given away", path)
		}
	}
	if info, err := os.Stat(target); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	stale, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	p := start(t, "milter.listen = [\"unix:"+filepath.Join(dir, "s")+"\"]\n")
	connect(t, "unix", filepath.Join(dir, "s")).begin(messageID).end()
	p.stop(t)
}

func TestListenersThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	live, err := net.Listen("unix", filepath.Join(dir, "live"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	write(t, filepath.Join(dir, "file"), "keep me")
	c := config.Default().Milter
	for address, want := range map[string]string{
		"unix:" + filepath.Join(dir, "live"):   "another process listens",
		"unix:" + filepath.Join(dir, "file"):   "is not a socket",
		"unix:" + filepath.Join(dir, "no/dir"): "no such file",
		"systemd:milter":                       "systemd passed no such socket",
		"inet:192.0.2.1:1":                     "cannot assign requested address",
	} {
		s, err := newSockets(c)
		if err != nil {
			t.Fatal(err)
		}
		listeners, err := s.open("milter.listen", "inet:127.0.0.1:0", config.Address(address))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "milter.listen") || listeners != nil {
			t.Errorf("%s: %v", address, err)
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
	c.SocketGroup = "no such group"
	if _, err := newSockets(c); err == nil || !strings.Contains(err.Error(), "milter.socket_group") {
		t.Errorf("group: %v", err)
	}
}

// passed returns a function that makes a command inherit sockets, as from
// systemd.
func passed(t *testing.T, names string, addresses ...string) func(*exec.Cmd) {
	t.Helper()
	return func(cmd *exec.Cmd) {
		for _, address := range addresses {
			ln, err := net.Listen("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			f, err := ln.(*net.TCPListener).File()
			if err != nil {
				t.Fatal(err)
			}
			ln.Close()
			t.Cleanup(func() { f.Close() })
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
		cmd.Env = append(cmd.Env, "LISTEN_FDS="+strconv.Itoa(len(addresses)), "LISTEN_FDNAMES="+names)
		// Only the process itself knows its ID.
		cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)
		cmd.Path = "/bin/sh"
	}
}

func TestSocketsOfSystemdServeByName(t *testing.T) {
	one, two, admin := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	p := start(t, "milter.listen = [\"systemd:mta\", \"unix:DIR/s\"]\nadmin.listen = \"systemd:admin\"\n",
		passed(t, "mta:mta:admin", one, two, admin))
	for _, addr := range []string{one, two} {
		if fields := connect(t, "tcp", addr).begin(messageID).end(); len(fields) != 1 {
			t.Errorf("%s: %q", addr, fields)
		}
	}
	if code, body := get(t, "http://"+admin+"/healthz"); code != 200 || body != "ok\n" {
		t.Errorf("admin: %d %s", code, body)
	}
	p.stop(t)
}

func TestSocketOfSystemdThatNobodyNamesIsAnError(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.toml")
	write(t, file, "state_dir = \""+dir+"\"\nmilter.listen = [\"systemd:mta\"]\n")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "permalink-milter", "--config", file)
	cmd.Env = os.Environ()
	passed(t, "mta:other", "127.0.0.1:0", "127.0.0.1:0")(cmd)
	out, err := cmd.CombinedOutput()
	if err == nil || cmd.ProcessState.ExitCode() != exitUnavailable || !strings.Contains(string(out), "write systemd:other in one") {
		t.Errorf("%v: %s", err, out)
	}
}
