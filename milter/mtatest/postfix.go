package mtatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const postfixPackage = "postfix"

// Postfix is a private instance; StartPostfix makes it.
type Postfix struct{ instance }

var _ MTA = (*Postfix)(nil)

// StartPostfix makes a private instance and returns when both of its SMTP servers answer. ctx bounds the start alone.
// After an error nothing is left running.
func StartPostfix(ctx context.Context, o Options) (*Postfix, error) {
	if err := checkMachine(); err != nil {
		return nil, err
	}
	p := &Postfix{instance{dir: o.Dir}}
	if err := p.start(ctx, o); err != nil {
		if log := p.Log(); log != "" {
			err = fmt.Errorf("%w; its log:\n%s", err, log)
		}
		return nil, errors.Join(fmt.Errorf("start a private Postfix: %w", err), p.Stop())
	}
	return p, nil
}

func checkMachine() error {
	if _, err := program("postfix", postfixPackage); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("a private Postfix needs root, as its queue belongs to the user postfix; run this with sudo")
	}
	return nil
}

func (p *Postfix) start(ctx context.Context, o Options) error {
	if err := p.configure(o); err != nil {
		return err
	}
	// This makes the queue's folders, and explains what is wrong with the configuration.
	if out, err := p.command(ctx, "postfix", "-c", p.etc(), "check"); err != nil {
		return fmt.Errorf("postfix check: %w: %s", err, out)
	}
	if err := p.startMaster(ctx); err != nil {
		return err
	}
	return p.waitForBanners(ctx)
}

// startMaster runs the master daemon as our own child. The command "postfix start" would detach it, and a test that
// panics would leave it behind.
func (p *Postfix) startMaster(ctx context.Context) error {
	daemons, err := p.command(ctx, "postconf", "-c", p.etc(), "-h", "daemon_directory")
	if err != nil {
		return fmt.Errorf("postconf daemon_directory: %w: %s", err, daemons)
	}
	cmd := exec.Command(filepath.Join(strings.TrimSpace(daemons), "master"), "-c", p.etc())
	cmd.Dir = p.queue()
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.etc())
	p.process, err = startProcess(cmd, &p.output)
	return err
}

// Sendmail implements MTA: pickup takes the message from the queue directory and asks the non_smtpd milters.
func (p *Postfix) Sendmail(ctx context.Context, from string, to []string, msg []byte) error {
	args := append([]string{"-C", p.etc()}, sendmailArgs(from, to)...)
	if out, err := p.commandWith(ctx, msg, "sendmail", args...); err != nil {
		return fmt.Errorf("sendmail: %w: %s", err, out)
	}
	return nil
}

// Flush implements MTA.
func (p *Postfix) Flush(ctx context.Context) error {
	if out, err := p.command(ctx, "postqueue", "-c", p.etc(), "-f"); err != nil {
		return fmt.Errorf("postqueue -f: %w: %s", err, out)
	}
	return nil
}

// QueueEmpty implements MTA. The order is the one in which a message moves, with active a second time for what comes
// back from deferred, so that a moving message is not missed.
func (p *Postfix) QueueEmpty(ctx context.Context) (bool, error) {
	for _, state := range []string{"maildrop", "incoming", "active", "deferred", "active"} {
		if err := ctx.Err(); err != nil {
			return false, fmt.Errorf("look into the queue: %w", err)
		}
		found, err := holdsFile(filepath.Join(p.queue(), state))
		if err != nil || found {
			return false, err
		}
	}
	return true, nil
}

// Log implements MTA. It still works after Stop when Options.Dir was set.
func (p *Postfix) Log() string {
	log, err := os.ReadFile(p.logFile())
	if err != nil {
		log = nil
	}
	return string(log) + p.output.String()
}

func (p *Postfix) command(ctx context.Context, name string, args ...string) (string, error) {
	return p.commandWith(ctx, nil, name, args...)
}

func (p *Postfix) commandWith(ctx context.Context, stdin []byte, name string, args ...string) (string, error) {
	path, err := program(name, postfixPackage)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	// sendmail hands the message to postdrop, which learns of the private instance from the environment alone.
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.etc())
	out, err := cmd.CombinedOutput()
	return string(out), err
}
