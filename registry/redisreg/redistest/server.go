// Package redistest starts private Redis servers for tests: a single one, a
// primary with replicas and Sentinels, or a Cluster, on free loopback ports. It
// needs Linux and Debian's redis-server, redis-sentinel and redis-tools.
//
//	server, err := redistest.Start(t.TempDir())
//	...
//	defer server.Stop()
//	url := "redis://" + server.Addr()
package redistest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// startTries is how many ports are tried: another program may take a free
	// one meanwhile.
	startTries = 5
	// patience bounds each wait for a server.
	patience = 30 * time.Second
)

// A Server is a running redis-server or redis-sentinel.
type Server struct {
	Port int
	// Dir holds its data and, as redis.sock, its unix socket.
	Dir     string
	program string
	args    []string
	cmd     *exec.Cmd
	exited  chan struct{}
}

// Start starts a redis-server with its data in dir. Args are further options,
// such as "--appendonly", "yes", which override those of this package.
func Start(dir string, args ...string) (*Server, error) {
	defaults := []string{"--bind", "127.0.0.1", "--save", "", "--unixsocket", filepath.Join(dir, "redis.sock"), "--dir", dir}
	return start("redis-server", dir, append(defaults, args...))
}

func start(program, dir string, args []string) (*Server, error) {
	if _, err := exec.LookPath(program); err != nil {
		return nil, fmt.Errorf("%w; install it with: apt-get install redis-server redis-sentinel redis-tools", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var failed error
	for range startTries {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		s := &Server{Port: port, Dir: dir, program: program, args: args}
		if failed = s.Restart(); failed == nil {
			return s, nil
		}
	}
	return nil, failed
}

// Restart starts the server again, on the same port, after Stop or Kill.
func (s *Server) Restart() error {
	log, err := os.Create(s.logFile())
	if err != nil {
		return err
	}
	defer log.Close()
	s.cmd = exec.Command(s.program, append(s.args[:len(s.args):len(s.args)], "--port", strconv.Itoa(s.Port))...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	// The kernel kills the server when this process ends. In a session of its
	// own, the server does not get the signals of the terminal.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exited = make(chan struct{})
	go func() {
		s.cmd.Wait()
		close(s.exited)
	}()
	return s.ready()
}

// ready waits for the log line that says that the server accepts clients.
func (s *Server) ready() error {
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		text := s.Log()
		if strings.Contains(text, "Ready to accept connections") || strings.Contains(text, "+monitor master") {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s on port %d ended: %s", s.program, s.Port, s.Log())
		case <-time.After(5 * time.Millisecond):
		}
	}
	s.Kill()
	return fmt.Errorf("%s on port %d is not ready after %v: %s", s.program, s.Port, patience, s.Log())
}

// Addr returns the host:port of the server.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Stop ends the server with SIGTERM, so that it saves its data.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server with SIGKILL.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

// Signal sends the server a signal, such as SIGSTOP. It does not wait for the
// effect.
func (s *Server) Signal(sig syscall.Signal) { _ = s.cmd.Process.Signal(sig) }

func (s *Server) end(sig syscall.Signal) {
	// An error means that the server has ended already.
	s.Signal(sig)
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// Log returns what the server has printed since its last start.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *Server) logFile() string { return filepath.Join(s.Dir, "log") }

// CLI runs redis-cli against the server and returns its output. It returns an
// error for an error reply.
func (s *Server) CLI(args ...string) (string, error) {
	return cli(append([]string{"-e", "-h", "127.0.0.1", "-p", strconv.Itoa(s.Port)}, args...)...)
}

func cli(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "redis-cli", args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("redis-cli %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// waitFor repeats a command until the answer contains want.
func (s *Server) waitFor(want string, args ...string) error {
	var got string
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got, err = s.CLI(args...); err == nil && strings.Contains(got, want) {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("redis on port %d does not answer %q, but: %s", s.Port, want, got), err)
}

// The range of ports. They and those 10000 above them are below the ports of
// outgoing connections, which could otherwise take the port of a server that is
// about to restart.
const firstPort, lastPort = 10240, 22767

// freePort returns a free loopback port. The port 10000 above it, which the bus
// of a Cluster takes, is free, too.
func freePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if err = errors.Join(free(port), free(port+10000)); err == nil {
			return port, nil
		}
	}
	return 0, err
}

func free(port int) error {
	ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return ln.Close()
}
