package mtatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// sendmailHost is the private instance's own name. Sendmail waits a minute for a machine's name that has no dot, so
// its processes get this one in a UTS namespace of their own (uts_namespaces(7)); /etc/hosts stays as it is.
const sendmailHost = "mx.example.org"

// Sendmail is a private instance; StartSendmail makes it.
type Sendmail struct {
	instance
	tree string // where the packages are unpacked
}

var _ MTA = (*Sendmail)(nil)

// StartSendmail makes a private instance and returns when both of its SMTP servers answer. ctx bounds the start
// alone. After an error nothing is left running.
func StartSendmail(ctx context.Context, o Options) (*Sendmail, error) {
	tree, err := sendmailTree()
	if err != nil {
		return nil, err
	}
	s := &Sendmail{instance{dir: o.Dir}, tree}
	if err := s.start(ctx, o); err != nil {
		if log := s.Log(); log != "" {
			err = fmt.Errorf("%w; its log:\n%s", err, log)
		}
		return nil, errors.Join(fmt.Errorf("start a private Sendmail: %w", err), s.Stop())
	}
	return s, nil
}

// sendmailTree finds what testdata/unpack.sh unpacked.
func sendmailTree() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the unpacked Sendmail: %w", err)
	}
	tree := filepath.Join(cache, "permalink-milter", "sendmail")
	if _, err := os.Stat(filepath.Join(tree, sendmailProgram)); err != nil {
		return "", fmt.Errorf("%w: %w; run: testdata/unpack.sh sendmail sendmail-bin sendmail-base sendmail-cf", ErrMissingProgram, err)
	}
	if os.Geteuid() != 0 {
		return "", errors.New("a private Sendmail needs root, for a host name of its own; run this with sudo")
	}
	return tree, nil
}

const sendmailProgram = "usr/libexec/sendmail/sendmail"

func (s *Sendmail) start(ctx context.Context, o Options) (err error) {
	if err := s.configure(ctx, o); err != nil {
		return err
	}
	// -bD stays in the foreground; 89.10 writes the log to the debug file as well as to syslog.
	cmd := s.program(context.WithoutCancel(ctx), "-C"+s.file("sendmail.cf"), "-D"+s.file("log"), "-d89.10", "-bD", "-q1s")
	if s.process, err = startProcess(cmd, &s.output); err != nil {
		return err
	}
	return s.waitForBanners(ctx)
}

// program prepares Sendmail under its own host name. The shell becomes Sendmail, so that signals reach it.
func (s *Sendmail) program(ctx context.Context, args ...string) *exec.Cmd {
	const script = `hostname "$0" && exec "$@"`
	all := append([]string{"--uts", "sh", "-c", script, sendmailHost, filepath.Join(s.tree, sendmailProgram)}, args...)
	return exec.CommandContext(ctx, "unshare", all...)
}

func (s *Sendmail) file(name string) string { return filepath.Join(s.dir, name) }

// Sendmail implements MTA: the command hands the message to the local SMTP server, as the submission program of an
// installed Sendmail does, so that the filters see it.
func (s *Sendmail) Sendmail(ctx context.Context, from string, to []string, msg []byte) error {
	args := append([]string{"-C" + s.file("submit.cf")}, sendmailArgs(from, to)...)
	cmd := s.program(ctx, args...)
	cmd.Stdin = bytes.NewReader(msg)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sendmail: %w: %s", err, out)
	}
	return nil
}

// Flush implements MTA.
func (s *Sendmail) Flush(ctx context.Context) error {
	for _, config := range []string{"submit.cf", "sendmail.cf"} {
		if out, err := s.program(ctx, "-C"+s.file(config), "-q").CombinedOutput(); err != nil {
			return fmt.Errorf("sendmail -q: %w: %s", err, out)
		}
	}
	return nil
}

// QueueEmpty implements MTA.
func (s *Sendmail) QueueEmpty(context.Context) (bool, error) {
	for _, name := range []string{"submit-queue", "queue"} {
		if found, err := holdsFile(s.file(name)); err != nil || found {
			return false, err
		}
	}
	return true, nil
}

// Log implements MTA. It still works after Stop when Options.Dir was set.
func (s *Sendmail) Log() string {
	log, err := os.ReadFile(s.file("log"))
	if err != nil {
		log = nil
	}
	return string(log) + s.output.String()
}
