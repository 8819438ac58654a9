package main

import (
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A manager is systemd's end of the notification socket.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
	path string
}

func newManager(t *testing.T) manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return manager{t, conn, path}
}

// next returns the next notification other than the watchdog's.
func (m manager) next() string {
	m.t.Helper()
	buffer := make([]byte, 4096)
	for {
		m.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := m.conn.Read(buffer)
		if err != nil {
			m.t.Fatal(err)
		}
		if text := string(buffer[:n]); text != "WATCHDOG=1" {
			return text
		}
	}
}

func TestSystemdIsToldOfTheState(t *testing.T) {
	m := newManager(t)
	p := start(t, "", func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path) })
	if got, want := m.next(), "READY=1\nSTATUS=serving milter on "+p.socket()+", control on "+p.controlSocket(); got != want {
		t.Errorf("at the start: %q", got)
	}
	p.signal(t, syscall.SIGHUP)
	if got := m.next(); !regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[0-9]+\nSTATUS=`).MatchString(got) {
		t.Errorf("at SIGHUP: %q", got)
	}
	if got := m.next(); !strings.HasPrefix(got, "READY=1\n") {
		t.Errorf("after SIGHUP: %q", got)
	}
	p.signal(t, syscall.SIGTERM)
	if got := m.next(); !strings.HasPrefix(got, "STOPPING=1\n") {
		t.Errorf("at SIGTERM: %q", got)
	}
	p.end(t)
}

func TestWatchdogIsFed(t *testing.T) {
	m := newManager(t)
	p := start(t, "", func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+m.path, "WATCHDOG_USEC=20000")
	})
	buffer := make([]byte, 4096)
	for fed := 0; fed < 3; {
		m.conn.SetReadDeadline(time.Now().Add(patience))
		n, err := m.conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		if string(buffer[:n]) == "WATCHDOG=1" {
			fed++
		}
	}
	p.stop(t)
}
