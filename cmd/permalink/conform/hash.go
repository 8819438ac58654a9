package conform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// The names that a hash command prints values under.
const (
	nameMD5, nameSHA1, nameSHA256 = "Message-ID-MD5", "Message-ID-SHA1", "Message-ID-SHA256"
	nameIdentity, nameClaim       = "Identity", "Claim"
	nameURL                       = "Archived-At"
)

// The environment variables that ask a hash command for a permalink.
const envTemplate, envList = "CONFORM_TEMPLATE", "CONFORM_LIST"

// A hasher tests what reads a message and prints NAME: VALUE lines.
type hasher struct {
	ask    func(ctx context.Context, message []byte, env ...string) (string, error)
	prints map[string]bool // what it printed for the probe, by name; nil before
}

// probe is a message that every command can name.
var probe = []byte("From: a@example.org\nTo: devel@lists.example.org\nDate: Tue, 24 Nov 2026 11:00:00 +0000\nMessage-ID: <abc@example.org>\n\nhello\n")

// Hash returns the tests of a command that reads a message from standard input
// and prints a line NAME: VALUE for each of Message-ID-MD5, Message-ID-SHA1,
// Message-ID-SHA256, Identity and Claim that it computes, and nothing for a
// message that has no such value. Result is that of the field
// Message-ID-SHA256, of a command that verifies. Where CONFORM_TEMPLATE and CONFORM_LIST are
// set, it may print the permalink as Archived-At.
func Hash(command []string) []Test {
	return (&hasher{ask: program(command).ask}).tests()
}

func (h *hasher) tests() []Test {
	tests := []Test{h.algorithm("ALG-1", nameSHA256), h.algorithm("ALG-2", nameMD5), h.algorithm("ALG-2", nameSHA1)}
	for _, m := range vectors.MessageIDs {
		tests = append(tests, Test{"ID-1", m.Name, h.hashes(m)})
	}
	for _, m := range vectors.Sections {
		tests = append(tests, Test{"SEC-1", m.Name, h.hashes(m)})
	}
	for _, m := range atBounds() {
		tests = append(tests, Test{"SEC-2", m.Name, h.hashes(m)})
	}
	for _, m := range longIDs() {
		tests = append(tests, Test{"ID-2", m.Name, h.hashes(m)})
	}
	tests = append(tests, Test{"LEG-1", "a wrong Message-ID-Hash beside the id", h.hashes(mislabelled())})
	for _, m := range vectors.Identities {
		tests = append(tests, Test{"IDN-1", m.Name, h.value(nameIdentity, m.Message, m.Identity)}, Test{"IDN-1", m.Name + ", claim", h.value(nameClaim, m.Message, m.Claim)})
	}
	tests = append(tests, h.verification()...)
	for _, l := range vectors.Links {
		tests = append(tests, Test{l.requirement(), l.Template + ", " + l.Name, h.link(l)})
	}
	return tests
}

// requirement returns the identifier of what a permalink shows.
func (l link) requirement() string {
	switch {
	case l.URL == "":
		return "URL-3"
	case strings.Contains(l.Template, ":query}"):
		return "URL-2"
	}
	return "URL-1"
}

// A program is a command with its arguments.
type program []string

// ask returns what the program prints for a message. The exit status does not
// count: commands differ in what they think of a message without an id.
func (p program) ask(ctx context.Context, message []byte, env ...string) (string, error) {
	cmd := exec.CommandContext(ctx, p[0], p[1:]...)
	cmd.Stdin, cmd.Env = bytes.NewReader(message), append(os.Environ(), env...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	var exit *exec.ExitError
	if ctx.Err() != nil {
		return "", fmt.Errorf("%s did not end: %w", p[0], ctx.Err())
	}
	unread := errors.Is(err, syscall.EPIPE) // it need not read the whole body
	if err != nil && !unread && (!errors.As(err, &exit) || !exit.Exited()) {
		return "", fmt.Errorf("%s: %w: %s", p[0], err, errs.String())
	}
	return string(out), nil
}

// run returns the values that are printed for a message, by name.
func (h *hasher) run(ctx context.Context, message []byte, env ...string) (map[string]string, error) {
	out, err := h.ask(ctx, message, env...)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string)
	for line := range strings.Lines(out) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			return nil, fmt.Errorf("the command prints %.200q, want NAME: VALUE", line)
		}
		values[name] = strings.TrimSpace(value)
	}
	return values, nil
}

// supports skips a test of a value that the command does not print for the
// probe.
func (h *hasher) supports(ctx context.Context, name string) error {
	if h.prints == nil {
		values, err := h.run(ctx, probe, envTemplate+"=https://a.example/{list}/{sha256}", envList+"=devel@lists.example.org")
		if err != nil {
			return err
		}
		h.prints = make(map[string]bool)
		for name := range values {
			h.prints[name] = true
		}
	}
	if !h.prints[name] {
		return skipError("the command prints no " + name)
	}
	return nil
}

// algorithm returns the test that the command has an algorithm.
func (h *hasher) algorithm(id, name string) Test {
	want := named("", "", "abc@example.org").Hashes[name]
	return Test{id, name, func(ctx context.Context) error {
		values, err := h.run(ctx, probe)
		if err == nil && values[name] != want {
			return differs(name, values[name], want)
		}
		return err
	}}
}

// hashes checks the hashes of a message by all algorithms that the command has.
func (h *hasher) hashes(m message) func(context.Context) error {
	return func(ctx context.Context) error {
		values, err := h.run(ctx, m.Message)
		if err != nil {
			return err
		}
		checked := 0
		for _, name := range []string{nameMD5, nameSHA1, nameSHA256} {
			if err := h.supports(ctx, name); errors.As(err, new(skipError)) {
				continue
			} else if err != nil {
				return err
			}
			checked++
			if values[name] != m.Hashes[name] {
				return differs(name, values[name], m.Hashes[name])
			}
		}
		if checked == 0 {
			return fmt.Errorf("the command prints no hash; it prints %q", slices.Sorted(maps.Keys(h.prints)))
		}
		return nil
	}
}

func (h *hasher) value(name string, message []byte, want string, env ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := h.supports(ctx, name); err != nil {
			return err
		}
		values, err := h.run(ctx, message, env...)
		if err == nil && values[name] != want {
			return differs(name, values[name], want)
		}
		return err
	}
}

func (h *hasher) link(l link) func(context.Context) error {
	return h.value(nameURL, l.Message, l.URL, envTemplate+"="+l.Template, envList+"="+l.List)
}
