// Package redistest starts private Redis servers for tests: one alone, a
// primary with replicas under Sentinels, or a Cluster, on loopback ports that
// are free. It ends only what it started, and knows nothing of testing or of
// the registry. It needs Linux and Debian's redis-server, redis-sentinel and
// redis-tools.
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
	// startTries is how often a server is started anew where another program
	// took its port meanwhile.
	startTries = 5
	// patience bounds each wait for what servers do by themselves.
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

// Start starts a redis-server with its data under dir. Args are further
// options, as "--appendonly", "yes"; they win over those given here.
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
	// The kernel ends it with this process. A session of its own keeps the
	// terminal's signals from it.
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

// ready waits for the line that tells that clients may come.
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

// Addr is the host:port of the server.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port)) }

// Stop ends the server as an operator does; it writes what it must first.
func (s *Server) Stop() { s.end(syscall.SIGTERM) }

// Kill ends the server at once.
func (s *Server) Kill() { s.end(syscall.SIGKILL) }

func (s *Server) end(sig syscall.Signal) {
	// A server that has ended already is what is wanted.
	_ = s.cmd.Process.Signal(sig)
	select {
	case <-s.exited:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.exited
	}
}

// Log is what the server has printed since its last start.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func (s *Server) logFile() string { return filepath.Join(s.Dir, "log") }

// CLI runs redis-cli against the server and returns what it prints. An error
// reply is an error.
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

// waitFor asks a server until its answer holds want.
func (s *Server) waitFor(want string, args ...string) error {
	var got string
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got, err = s.CLI(args...); err == nil && strings.Contains(got, want) {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("redis on port %d: %q does not come: %s", s.Port, want, got), err)
}

// Ports that are given out, with those 10000 above them: below what Linux
// takes for outgoing connections, of which any could take the port of a server
// that is to start again.
const firstPort, lastPort = 10240, 22767

// freePort returns a loopback port that nobody listens on at this moment, nor
// on the one 10000 above it, which a cluster's bus takes.
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
