package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A filter is a program under test: its name in the tables, and the command
// that serves on a unix socket. TCP would measure
// Nagle's algorithm meeting delayed acknowledgements instead of the filters.
type filter struct {
	name    string
	command func(socket string) *exec.Cmd
	edits   int // on a message with a Date and a forged hash; 0: not known
	dates   int // edits more on a message without a Date
}

// A bench knows where the programs are.
type bench struct {
	ctx  context.Context
	dir  string
	full bool // the long versions
}

const daemonConfig = `state_dir = %q
[log]
level = %q
[milter]
listen = ["unix:%s"]
socket_mode = "0666"
[registry]
url = %q
%s`

const archiveConfig = `[[archive]]
name = "a"
lists = ["*@lists.example.org"]
list = "devel@lists.example.org"
url = "https://a.example/{list}/{token}"
`

// daemon is permalink-milter on a registry, which logs errors alone. With an
// archive it reserves.
func (b *bench) daemon(name, registry, archive string) filter {
	return b.daemonLogging("error", name, registry, archive)
}

func (b *bench) daemonLogging(level, name, registry, archive string) filter {
	edits, dates := 2, 0
	if archive != "" {
		edits, dates = 3, 1
	}
	return filter{name: name, edits: edits, dates: dates, command: func(socket string) *exec.Cmd {
		dir, err := os.MkdirTemp(b.dir, "daemon-")
		must(err)
		file := filepath.Join(dir, "config.toml")
		must(os.WriteFile(file, fmt.Appendf(nil, daemonConfig, dir, level, socket, registry, archive), 0o600))
		return exec.CommandContext(b.ctx, filepath.Join(b.dir, "permalink-milter"), "--config", file)
	}}
}

// hashOnly does the same work as the filters beside it.
func (b *bench) hashOnly() filter { return b.daemon("permalink-milter", "memory:", "") }

// logging does the same, and logs a line for each message to a file.
func (b *bench) logging() filter {
	f := b.daemonLogging("info", "permalink-milter, a line logged", "memory:", "")
	command := f.command
	f.command = func(socket string) *exec.Cmd {
		cmd := command(socket)
		log, err := os.Create(b.logFile())
		must(err)
		cmd.Stderr = log
		return cmd
	}
	return f
}

func (b *bench) logFile() string { return filepath.Join(b.dir, "log") }

func (b *bench) c(args ...string) func(socket string) *exec.Cmd {
	return func(socket string) *exec.Cmd {
		return exec.CommandContext(b.ctx, filepath.Join(b.dir, "filter"), append(args, "unix:"+socket)...)
	}
}

func (b *bench) libmilter() filter { return filter{name: "libmilter (C)", edits: 2, command: b.c()} }
func (b *bench) null() filter      { return filter{name: "libmilter (C), null", command: b.c("-n")} }

func (b *bench) python() filter {
	return filter{name: "python3-milter", edits: 2, command: func(socket string) *exec.Cmd {
		return exec.CommandContext(b.ctx, "/usr/bin/python3", "cmd/internal/bench/peers/filter.py", "unix:"+socket)
	}}
}

func (b *bench) opendkim() filter {
	return filter{name: "opendkim, verify only", command: func(socket string) *exec.Cmd {
		file := filepath.Join(b.dir, "opendkim.conf")
		must(os.WriteFile(file, []byte("Mode v\nSyslog no\nBackground no\nRequireSafeKeys no\n"), 0o600))
		return exec.CommandContext(b.ctx, "opendkim", "-f", "-x", file, "-p", "unix:"+socket)
	}}
}

// build makes the programs: ours, and the C filter.
func (b *bench) build() {
	for _, args := range []string{
		"env CGO_ENABLED=0 go build -o " + b.dir + " ./cmd/permalink-milter ./cmd/permalink",
		"gcc -O2 -o " + filepath.Join(b.dir, "filter") + " cmd/internal/bench/peers/filter.c -lmilter -lcrypto -lpthread",
	} {
		words := strings.Fields(args)
		out, err := exec.CommandContext(b.ctx, words[0], words[1:]...).CombinedOutput()
		if err != nil {
			fail("%s: %v\n%s", args, err, out)
		}
	}
}

// A running filter.
type running struct {
	filter
	cmd    *exec.Cmd
	socket string
	ready  time.Duration // from the start to the first accepted connection
}

func (f filter) start() *running {
	dir, err := os.MkdirTemp("", "filter-")
	must(err)
	must(os.Chmod(dir, 0o755)) // for Postfix
	r := &running{filter: f, socket: filepath.Join(dir, "socket")}
	r.cmd = f.command(r.socket)
	begin := time.Now()
	must(startWithSlack(r.cmd))
	if log, ok := r.cmd.Stderr.(*os.File); ok {
		log.Close() // the filter has its own
	}
	for time.Since(begin) < 30*time.Second {
		conn, err := net.Dial("unix", r.socket)
		if err == nil {
			r.ready = time.Since(begin)
			conn.Close()
			must(os.Chmod(r.socket, 0o666)) // for Postfix
			return r
		}
		time.Sleep(500 * time.Microsecond)
	}
	r.stop()
	fail("%s does not listen", f.name)
	return nil
}

// startWithSlack gives a program the timer slack of permalink-milter.service
// (TimerSlackNSec=). A program has that of the thread that starts it. It ends
// with the benchmark, however that ends.
func startWithSlack(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // the default again
	err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(time.Millisecond.Nanoseconds()), 0, 0, 0)
	return errors.Join(err, cmd.Start())
}

// stop ends the filter and returns the CPU time that it took. It kills, since
// libmilter takes seconds to notice a SIGTERM.
func (r *running) stop() time.Duration {
	r.cmd.Process.Kill()
	r.cmd.Wait()
	os.RemoveAll(filepath.Dir(r.socket))
	return r.cmd.ProcessState.UserTime() + r.cmd.ProcessState.SystemTime()
}
