package mtatest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"permalink-milter/milter/mtatest/output"
)

// daemonPackage is the import path of the daemon's command.
const daemonPackage = "permalink-milter/cmd/permalink-milter"

// errExited is wrapped when a program ends before it is ready.
var errExited = errors.New("program ended before it was ready")

// Daemon is permalink-milter as a process of its own. Its methods are for one goroutine, but for Stderr.
type Daemon struct {
	bin, dir string
	wait     []string
	output   output.Buffer // over all restarts
	process  *process
}

// buildLimit bounds a build: the first one on a machine fetches the modules, too.
const buildLimit = 15 * time.Minute

// BuildDaemon compiles the daemon into dir and returns the program's path. The working directory must lie in this
// module.
func BuildDaemon(ctx context.Context, dir string) (bin string, err error) {
	bin, err = filepath.Abs(filepath.Join(dir, "permalink-milter"))
	if err != nil {
		return "", fmt.Errorf("build the daemon: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, buildLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, daemonPackage).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the daemon: %w: %s", err, out)
	}
	return bin, nil
}

// StartDaemon writes configText to dir/permalink-milter.toml, starts bin there, and returns when it accepts
// connections at every address of wait: "inet:127.0.0.1:PORT", "unix:/path" or plain "host:port". ctx bounds the
// start alone.
func StartDaemon(ctx context.Context, bin, dir, configText string, wait ...string) (*Daemon, error) {
	d := &Daemon{bin: bin, dir: dir, wait: wait}
	if err := d.WriteConfig(configText); err != nil {
		return nil, err
	}
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *Daemon) configFile() string { return filepath.Join(d.dir, "permalink-milter.toml") }

// WriteConfig replaces the configuration file. The daemon reads it at Reload or Restart.
func (d *Daemon) WriteConfig(text string) error {
	if err := os.WriteFile(d.configFile(), []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the daemon's configuration: %w", err)
	}
	return nil
}

func (d *Daemon) start(ctx context.Context) error {
	cmd := exec.Command(d.bin, "--config", d.configFile())
	cmd.Dir = d.dir
	p, err := startProcess(cmd, &d.output)
	if err != nil {
		return err
	}
	d.process = p
	for _, addr := range d.wait {
		if err := waitForListener(ctx, p, addr); err != nil {
			return errors.Join(fmt.Errorf("start the daemon: %w; its output:\n%s", err, d.output.String()), d.Kill())
		}
	}
	return nil
}

// Reload sends SIGHUP.
func (d *Daemon) Reload() error { return d.process.cmd.Process.Signal(syscall.SIGHUP) }

// Stop sends SIGTERM, waits, and reports an exit status other than 0. It is also right after Kill or another Stop.
func (d *Daemon) Stop() error {
	select {
	case <-d.process.exited:
		return d.process.endGuard()
	default:
	}
	if err := d.process.stop(syscall.SIGTERM, 15*time.Second); err != nil {
		return err
	}
	if d.process.err != nil {
		return fmt.Errorf("daemon after SIGTERM: %w; its output:\n%s", d.process.err, d.output.String())
	}
	return nil
}

// Kill ends the daemon as a crash would, with SIGKILL.
func (d *Daemon) Kill() error { return d.process.stop(syscall.SIGKILL, time.Second) }

// Restart starts the daemon again with the same configuration, so on the same ports; it stops it first when it runs.
func (d *Daemon) Restart(ctx context.Context) error {
	if err := d.Stop(); err != nil {
		return err
	}
	return d.start(ctx)
}

// Stderr is all that the daemon has written to stderr and stdout, over all restarts.
func (d *Daemon) Stderr() string { return d.output.String() }

// PID is the process id of the daemon as it runs now.
func (d *Daemon) PID() int { return d.process.cmd.Process.Pid }

func waitForListener(ctx context.Context, p *process, addr string) error {
	network, address := "tcp", addr
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		network, address = "unix", path
	} else if _, after, ok := strings.Cut(addr, "inet:"); ok {
		address = after
	} else if _, after, ok := strings.Cut(addr, "inet6:"); ok {
		address = after
	}
	return poll(ctx, p, func(ctx context.Context) error {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}

// poll calls try until it succeeds, p ends or ctx is done.
func poll(ctx context.Context, p *process, try func(context.Context) error) error {
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%w: %w", errExited, errors.Join(p.err, err))
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
