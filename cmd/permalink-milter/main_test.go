package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"permalink-milter/config"
)

// A logBuffer is a log that a test reads while the daemon writes.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// wait returns when the log has text.
func (l *logBuffer) wait(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		l.mu.Lock()
		found := strings.Contains(l.b.String(), text)
		l.mu.Unlock()
		if found {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Fatalf("no %q in the log:\n%s", text, &l.b)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestBadConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"[milter]\nlistne = 1\n":                       "listne",
		"[milter]\nmax_connections = \"x\"\n":          ":2:",
		"[milter]\nidle_timeout = \"-1s\"\n":           "not negative",
		"[milter]\nmax_connections = 0\n":              "above zero",
		"[header]\nalgorithm = \"md4\"\n":              "md5, sha1 or sha256",
		"[header]\nemit = [\"X-Message-ID-Hash\"]\n":   "leave out the X-",
		"[header]\nremove = [\"Subject\"]\n":           "does not name a hash",
		"[header]\nidentity = [\"body\"]\n":            "header.identity",
		"[registry]\non_failure = \"panic\"\n":         "stamp tempfail accept",
		"[[archive]]\nurl = \"https://a.example/x\"\n": "same URL",
		"[[archive]]\nlists = [\"[\"]\n":               "syntax error in pattern",
	} {
		var stderr bytes.Buffer
		file := write(t, filepath.Join(t.TempDir(), "c.toml"), text)
		code := run(t.Context(), []string{"--check", "--config", file}, io.Discard, &stderr)
		if code != exitConfig || !strings.Contains(stderr.String(), want) {
			t.Errorf("%q: exit %d, %s", text, code, &stderr)
		}
	}
}

func TestDaemonListensReloadsAndStops(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	stale, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	stale.(*net.UnixListener).SetUnlinkOnClose(false)
	stale.Close()
	base := "state_dir = \"" + dir + "\"\n[milter]\nlisten = [\"unix:" + socket + "\"]\n"
	file := write(t, filepath.Join(dir, "c.toml"), base)
	ctx, stop := context.WithCancel(t.Context())
	var log logBuffer
	exit := make(chan int)
	go func() { exit <- run(ctx, []string{"--config", file}, io.Discard, &log) }()
	log.wait(t, "listening")
	info, err := os.Stat(socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	var second bytes.Buffer
	if code := run(t.Context(), []string{"--config", file}, io.Discard, &second); code != exitUnavailable || !strings.Contains(second.String(), "another process holds") {
		t.Errorf("a second daemon: exit %d, %s", code, &second)
	}
	for text, want := range map[string]string{base: "configuration reloaded", base + "x = 1\n": "the old one stays"} {
		write(t, file, text)
		syscall.Kill(os.Getpid(), syscall.SIGHUP)
		log.wait(t, want)
	}
	stop()
	if code := <-exit; code != exitOK {
		t.Errorf("exit %d", code)
	}
	if _, err := os.Stat(socket); err == nil {
		t.Error("the socket is still there")
	}
}

func TestUnixListener(t *testing.T) {
	dir := t.TempDir()
	live, err := net.Listen("unix", filepath.Join(dir, "live"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	write(t, filepath.Join(dir, "file"), "keep me")
	for name, want := range map[string]string{"live": "another process listens", "file": "is no socket", "no/dir": "no such file"} {
		c := config.Default().Milter
		c.Listen = []config.Address{"inet:127.0.0.1:0", config.Address("unix:" + filepath.Join(dir, name))}
		if _, err := listen(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
