package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/mailbox"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

const stampLong = `Write a message with its permalink headers added, as the milter adds them: by
the same decision, of the same configuration. Line ends are kept. A message
that is right already is written as it is.

One message is read, from the FILE or from standard input, and written to
standard output. With --in-place, FILE may stand several times and may be a
folder: a Maildir, or a tree with one message a file. A file is replaced in one
step, and keeps its mode, owner and time.

With --registry or --api the permalink is reserved; without, it is the bare
hash.

Exit codes: 0 stamped, 1 a message could not be, 2 usage, 75 the registry did
not answer and the configuration says tempfail, 78 configuration.`

const stampExample = `  permalink stamp message.eml > stamped.eml
  permalink stamp --archive 'https://lists.example.org/{list}/{token}' --list devel@lists.example.org < message.eml
  permalink stamp --in-place --config /etc/permalink-milter/permalink-milter.toml Maildir/

  # procmail
  :0 fw
  | permalink stamp --config /etc/permalink-milter/permalink-milter.toml`

// stampOptions are the flags of stamp.
type stampOptions struct {
	archives archiveFlags
	registry registryFlags
	inPlace  bool
}

func newStamp(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "stamp [FILE|-]",
		Short:   "Add the permalink headers to a message",
		Long:    stampLong,
		Example: stampExample,
	}
	var o stampOptions
	o.archives.add(cmd)
	o.registry.add(cmd)
	cmd.Flags().BoolVar(&o.inPlace, "in-place", false, "replace the files")
	cmd.RunE = func(cmd *cobra.Command, inputs []string) error { return o.run(cmd.Context(), inputs, std) }
	return cmd
}

func (o *stampOptions) run(ctx context.Context, inputs []string, std stdio) error {
	switch {
	case o.inPlace && len(inputs) == 0:
		return errors.New("--in-place: name the files or folders")
	case !o.inPlace && len(inputs) > 1:
		return errors.New("write one FILE, or --in-place for several")
	case o.archives.list != "" && len(o.archives.templates) == 0:
		return errors.New("--list goes with --archive")
	}
	s, err := o.stamper(ctx, std)
	if err != nil {
		return err
	}
	defer s.close()
	if o.inPlace {
		return s.inPlace(ctx, inputs)
	}
	return s.toStdout(stdinIfNone(inputs)[0])
}

// A stamper stamps messages by one policy.
type stamper struct {
	stdio
	policy   *stamp.Policy
	registry registry.Registry // nil: nothing is reserved
	reserve  stamp.Reserve
}

// stamper opens what the flags name. Without a registry there is no failure to
// ask the policy about.
func (o *stampOptions) stamper(ctx context.Context, std stdio) (*stamper, error) {
	c, err := o.archives.config()
	if err != nil {
		return nil, err
	}
	s := &stamper{stdio: std, reserve: bareHash}
	if s.policy, err = policyOf(c); err != nil || !o.registry.named() {
		return s, err
	}
	if s.registry, err = o.registry.open(c, true); err != nil {
		return nil, err
	}
	s.reserve = func(r registry.Request) (registry.Result, error) { return reserveWithin(ctx, s.registry, r) }
	return s, nil
}

// bareHash gives the permalink that needs no registry.
func bareHash(r registry.Request) (registry.Result, error) {
	return registry.Result{Reservation: registry.Reservation{List: r.List, Hash: r.Hash, Ordinal: 1}, Outcome: registry.Unreserved}, nil
}

func (s *stamper) close() {
	if s.registry != nil {
		s.registry.Close()
	}
}

var errTempFail = errors.New("the registry did not answer, and on_failure = \"tempfail\"")

// stamp reads the start of a message and returns it stamped; r is left with
// the rest of the body.
func (s *stamper) stamp(r io.Reader) (before, after []byte, err error) {
	raw, err := mailbox.ReadRaw(r)
	if err != nil {
		return nil, nil, err
	}
	if len(raw.Fields) == 0 {
		return nil, nil, mailbox.ErrNotMail
	}
	d := stamp.Decide(&stamp.Message{Header: raw.Header}, s.policy, s.reserve)
	if d.TempFail {
		return nil, nil, &exitError{exitTemporary, errors.Join(errTempFail, d.Err)}
	}
	if d.Err != nil {
		fmt.Fprintf(s.err, "permalink stamp: %v\n", d.Err)
	}
	return raw.Start(), edit(raw, d.Edits), nil
}

// toStdout writes one message. Nothing is written of one that cannot be
// stamped, so that a pipe's caller still has the original to go on with.
func (s *stamper) toStdout(file string) error {
	in := s.in
	if file != "-" {
		f, err := openMessage(file, mailbox.Auto)
		if err != nil {
			return &exitError{exitFailed, fmt.Errorf("%s: %w", file, err)}
		}
		defer f.Close()
		in = f
	}
	_, after, err := s.stamp(in)
	if err != nil {
		return failure(file, err)
	}
	if _, err := io.Copy(s.out, io.MultiReader(bytes.NewReader(after), in)); err != nil {
		return &exitError{exitTemporary, fmt.Errorf("%s: %w", file, err)}
	}
	return nil
}

// failure is an error of one message, with the exit code that it has.
func failure(file string, err error) error {
	code := exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		code, err = exit.code, exit.err
	}
	return &exitError{code, fmt.Errorf("%s: %w", file, err)}
}

// openMessage opens a file that holds one message, as it is and not
// compressed.
func openMessage(file string, format mailbox.Format) (*os.File, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return f, nil // a pipe can be read only once: as standard input is
	}
	count := 0
	for m := range mailbox.Map(context.Background(), []string{file}, mailbox.Options{Format: format}, func(m *mailbox.Message) mailbox.Message { return *m }) {
		if count++; m.Err != nil && !errors.Is(m.Err, mailbox.ErrNUL) {
			err = m.Err
		}
		if count > 1 {
			err = errors.New("an mbox of several messages: stamp takes one")
			break
		}
	}
	// The reader looks through compression; a header cannot be put there.
	head := make([]byte, 1)
	if _, bad := f.ReadAt(head, 0); err == nil && bad == nil && (head[0] == 0x1f || head[0] == 0x28) {
		err = errors.New("compressed: decompress it first")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
