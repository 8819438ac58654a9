// Package mtatest runs a private mail system for end-to-end tests and for the demo: an MTA with its own configuration,
// queue and log, a Sink that takes what the MTA delivers, senders that speak SMTP to it, and the daemon
// permalink-milter as a separate process.
//
// It may not touch the machine's own mail system, look into the daemon's packages, or know anything of testing: every
// function returns an error. It needs Linux.
package mtatest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
)

// ErrMissingProgram is wrapped by every error that means "install this package first".
var ErrMissingProgram = errors.New("program not found")

// MTA is a running private mail system. Its methods may be called from several goroutines.
type MTA interface {
	// Remote is the host:port of an SMTP server that treats its clients as other hosts: no header field is completed
	// before the milters see the message. It relays every recipient to the sink.
	Remote() string
	// Local is the host:port of an SMTP server whose clients count as this host's own.
	Local() string
	// Sendmail submits msg, with LF line ends, by the MTA's sendmail command; no SMTP client is involved. Without
	// recipients the command takes those that To, Cc and Bcc name (sendmail -t).
	Sendmail(ctx context.Context, from string, to []string, msg []byte) error
	// Flush asks for an attempt on every deferred message now.
	Flush(ctx context.Context) error
	// QueueEmpty reports whether no message is left, in any state.
	QueueEmpty(ctx context.Context) (bool, error)
	// Log is what the MTA has logged since its start.
	Log() string
	// Stop ends every process of the MTA. Calling it again does nothing.
	Stop() error
}

// Options say how a private MTA is set up. Sink is the one field that must be set.
type Options struct {
	// Dir is made if needed and kept; its parents must let every user pass. Empty: a temporary one, removed by Stop.
	Dir string
	// Milters are asked in this order, each "inet:127.0.0.1:PORT" or "unix:/path".
	Milters []string
	// Sink is the host:port that takes every message.
	Sink string
	// MilterDefaultAction is what happens while a milter is down: "tempfail" (when empty), "accept" or "reject".
	MilterDefaultAction string
	// Chroot lets Postfix's processes that ask the milters see the queue directory alone, Dir/queue, as Debian's
	// master.cf does. A milter's "unix:/path" then begins there.
	Chroot bool
	// ExtraMain are further lines of the MTA's main configuration: "name = value" of Postfix's main.cf, which win over
	// the harness's own, or m4 for Sendmail's .mc.
	ExtraMain []string
}

// Ports of 127.0.0.1 that FreePort gives out: below those that Linux takes for outgoing connections, of which any could
// take the port of a server that a test stops and starts again.
const firstPort, lastPort = 10240, 32767

// FreePort returns a TCP port of 127.0.0.1 without a listener at this moment. It is drawn, so that tests that run
// side by side seldom meet.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		var ln net.Listener
		if ln, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, ln.Close()
		}
	}
	return 0, fmt.Errorf("find a free port: %w", err)
}

// program finds a program of an MTA, which other users' PATH leaves out, or names the Debian package that brings it.
func program(name, debianPackage string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	if path, err := exec.LookPath(filepath.Join("/usr/sbin", name)); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("%w: %s; install it with: apt-get install %s", ErrMissingProgram, name, debianPackage)
}

// sendmailArgs are the arguments of a sendmail command behind those that name its configuration.
func sendmailArgs(from string, to []string) []string {
	if len(to) == 0 {
		return []string{"-i", "-f", from, "-t"}
	}
	return append([]string{"-i", "-f", from, "--"}, to...)
}
