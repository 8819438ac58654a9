// Package mailmantest runs Debian's Mailman 3 with its web archive HyperKitty privately, for end-to-end tests and for the
// demo: install.sh unpacks them into the user's cache, and this package starts them from there with a configuration,
// databases and ports of their own.
//
// Like package mtatest it may not touch the machine's own mail system or know anything of testing.
package mailmantest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"permalink-milter/milter/mtatest"
)

// python is Debian's: the unpacked packages hold modules compiled for it.
const python = "/usr/bin/python3"

// Options say how a private Mailman is set up. Dir and the addresses must be set.
type Options struct {
	// Dir is an existing folder.
	Dir string
	// SMTP is the host:port of the MTA that takes Mailman's outgoing mail.
	SMTP string
	// LMTP is the host:port where Mailman is to take mail in.
	LMTP string
	// Web is the host:port where HyperKitty is to answer.
	Web string
	// Config is added to mailman.cfg.
	Config string
	// PythonPath are further folders of Python modules.
	PythonPath []string
}

// Mailman is a running Mailman core with HyperKitty. Its methods are for one goroutine.
type Mailman struct {
	o        Options
	root     string // of the unpacked packages
	rest     string // host:port
	password string // of the REST API, and HyperKitty's key for the archiver
	http     http.Client
	core     *mtatest.Program
	kitty    *mtatest.Program
}

// Start makes a private instance for the lists of the domain lists.example.org and returns when the LMTP server, the
// REST API and HyperKitty answer. ctx bounds the start alone. After an error nothing is left running.
func Start(ctx context.Context, o Options) (*Mailman, error) {
	m := &Mailman{o: o, password: rand.Text()}
	if err := m.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a private Mailman: %w", err), m.Stop())
	}
	return m, nil
}

func (m *Mailman) start(ctx context.Context) error {
	if err := m.findPackages(); err != nil {
		return err
	}
	if err := freeAddrs(&m.rest); err != nil {
		return err
	}
	if err := m.configure(); err != nil {
		return err
	}
	// HyperKitty makes its database while the core starts.
	migrated := make(chan error, 1)
	go func() { migrated <- m.prepareWeb(ctx) }()
	err := m.startCore(ctx)
	if err := errors.Join(err, <-migrated); err != nil {
		return err
	}
	if err := m.startWeb(ctx); err != nil {
		return err
	}
	return m.post(ctx, "domains", map[string]string{"mail_host": Domain})
}

// findPackages looks where install.sh unpacks.
func (m *Mailman) findPackages() error {
	cache, err := os.UserCacheDir()
	if err != nil {
		return err
	}
	m.root = filepath.Join(cache, "permalink-milter", "mailman3")
	if _, err := os.Stat(m.root); err != nil {
		return fmt.Errorf("%w: Mailman 3; unpack it with: registry/mailman/mailmantest/install.sh (%w)", mtatest.ErrMissingProgram, err)
	}
	return nil
}

// command is a Python program that sees the unpacked packages.
func (m *Mailman) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, python, args...)
	cmd.Dir = m.o.Dir
	path := append([]string{m.file("python"), filepath.Join(m.root, "usr/lib/python3/dist-packages")}, m.o.PythonPath...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+strings.Join(path, ":"), "PYTHONSAFEPATH=1", "DJANGO_SETTINGS_MODULE=settings",
		"HYPERKITTY="+m.file("hyperkitty.json"), "REQUESTS_CA_BUNDLE="+m.file("cert.pem"), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	return cmd
}

func (m *Mailman) file(name string) string { return filepath.Join(m.o.Dir, name) }

func (m *Mailman) startCore(ctx context.Context) (err error) {
	master := m.command(context.Background(), filepath.Join(m.root, "usr/lib/mailman3/bin/master"), "-C", m.file("mailman.cfg"))
	m.core, err = mtatest.StartProgram(ctx, master, func(ctx context.Context) error {
		if err := m.get(ctx, "system/versions", nil); err != nil {
			return err
		}
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", m.o.LMTP)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	return err
}

// LMTP is the host:port where Mailman takes mail in.
func (m *Mailman) LMTP() string { return m.o.LMTP }

// REST returns the base URL of Mailman's REST API and the credentials for it.
func (m *Mailman) REST() (url, user, password string) {
	return "http://" + m.rest + "/3.1/", restUser, m.password
}

// Run runs a Python program that sees Mailman, HyperKitty and the plugin, with stdin, and returns its stdout.
func (m *Mailman) Run(ctx context.Context, stdin string, args ...string) (stdout []byte, err error) {
	cmd := m.command(ctx, args...)
	cmd.Stdin = strings.NewReader(stdin)
	stdout, err = cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return stdout, fmt.Errorf("%s: %w: %s", args[0], err, exit.Stderr)
	}
	return stdout, err
}

// Log is what the core and HyperKitty have logged.
func (m *Mailman) Log() string {
	var b strings.Builder
	names, _ := filepath.Glob(m.file("var/logs/*.log"))
	for _, name := range names {
		if text, err := os.ReadFile(name); err == nil {
			fmt.Fprintf(&b, "%s:\n%s\n", filepath.Base(name), text)
		}
	}
	for _, p := range []*mtatest.Program{m.core, m.kitty} {
		if p != nil {
			b.WriteString(p.Output())
		}
	}
	return b.String()
}

// Stop ends every process of the instance. Calling it again does nothing.
func (m *Mailman) Stop() (err error) {
	m.http.CloseIdleConnections()
	for _, p := range []**mtatest.Program{&m.kitty, &m.core} {
		if *p != nil {
			err = errors.Join(err, (*p).Stop())
			*p = nil
		}
	}
	return err
}

// freeAddrs fills each with a host:port without a listener.
func freeAddrs(addrs ...*string) error {
	for _, addr := range addrs {
		port, err := mtatest.FreePort()
		if err != nil {
			return err
		}
		*addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	}
	return nil
}

// until calls try until it succeeds or ctx is done.
func until(ctx context.Context, try func() error) error {
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
