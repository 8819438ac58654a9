package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/edit"
	"permalink-milter/cmd/permalink/inplace"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

const stampLong = `Write a message with its permalink headers added, as the milter adds them: by
the same decision, of the same configuration. Unlike the milter, it
adds no Date to a message without one. Line ends are kept. A message that is
right already is written as it is.

The FILE or standard input is read, and standard output written. An mbox is
written with each message stamped, and otherwise byte for byte as it was. A
program that filters single messages says --format message, so that a message
whose body holds another one is not taken for an mbox.

With --in-place, FILE may stand several times and may be a folder: a Maildir, or
a tree with one message a file. A file is replaced in one step, and keeps its
mode, owner and time. Symbolic links are not followed. It may be run on the mail
of other users.

With --registry or --api the permalink is reserved; without, it is the bare
hash. A message whose header ends without a line end is stamped, and that is
told on standard error; at the end of an mbox it is written as it is, since it
is cut off.

Exit codes: 0 stamped, 1 a message could not be, 2 usage, 75 the registry did
not answer and the configuration says tempfail, 78 configuration.`

const stampExample = `  permalink stamp message.eml > stamped.eml
  permalink stamp --archive 'https://lists.example.org/{list}/{token}' --list devel@lists.example.org < message.eml
  permalink stamp devel.mbox > stamped.mbox
  permalink stamp --in-place Maildir/

  # procmail
  :0 fw
  | permalink stamp --format message`

// stampOptions are the flags of stamp.
type stampOptions struct {
	sources  sourceFlags
	archives archiveFlags
	registry registryFlags
	inPlace  bool
}

func newStamp(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "stamp [FILE|-]",
		Short:   "Add the permalink headers to messages",
		Long:    stampLong,
		Example: stampExample,
	}
	var o stampOptions
	o.sources.add(cmd)
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
	return s.toStdout(ctx, stdinIfNone(inputs)[0])
}

// A stamper stamps messages by one policy.
type stamper struct {
	stdio
	format   mailbox.Format
	policy   *stamp.Policy
	registry registry.Registry // nil: nothing is reserved
	reserve  stamp.Reserve
	warning  error // of the last message that was stamped
}

// stamper opens what the flags name.
func (o *stampOptions) stamper(ctx context.Context, std stdio) (*stamper, error) {
	format, err := mailbox.ParseFormat(o.sources.format)
	if err != nil {
		return nil, err
	}
	c, err := o.archives.config()
	if err != nil {
		return nil, err
	}
	s := &stamper{stdio: std, format: format, reserve: bareHash}
	if s.policy, err = policyOf(c); err != nil || !o.registry.named() {
		return s, err
	}
	if s.registry, err = o.registry.open(c, true); err != nil {
		return nil, err
	}
	s.reserve = reserveIn(ctx, s.registry)
	return s, nil
}

func (s *stamper) close() {
	if s.registry != nil {
		s.registry.Close()
	}
}

var errTempFail = errors.New("the registry did not answer, and on_failure = \"tempfail\"")

// single stamps a message that is a whole input.
func (s *stamper) single(r io.Reader) (before, after []byte, err error) {
	return s.stamp(r, mailbox.Single)
}

// stamp reads the start of a message and returns it stamped; r is left with
// the rest of the body.
func (s *stamper) stamp(r io.Reader, format mailbox.Format) (before, after []byte, err error) {
	raw, err := edit.Read(r, format)
	if s.warning = raw.Warning; err != nil {
		return nil, nil, err
	}
	d := stamp.Decide(&stamp.Message{Header: raw.Header}, s.policy, s.reserve)
	if d.TempFail {
		return nil, nil, &exitError{exitTemporary, errors.Join(errTempFail, d.Err)}
	}
	if d.Err != nil {
		fmt.Fprintf(s.err, "permalink stamp: %s\n", report.Text(d.Err.Error()))
	}
	return raw.Start(), raw.Apply(d.Edits), nil
}

// toStdout writes a file or standard input, stamped.
func (s *stamper) toStdout(ctx context.Context, file string) error {
	in, err := openInput(file, s.in)
	if err != nil {
		return failure(file, mailbox.Reason(err))
	}
	defer in.Close()
	buffered := bufio.NewReaderSize(in, mailbox.KindSize)
	head, _ := buffered.Peek(mailbox.KindSize)
	format, err := s.kind(head)
	if err != nil {
		return failure(file, err)
	}
	if format == mailbox.Single {
		return s.message(file, buffered)
	}
	b := &edit.Mbox{Format: format, Edit: func(r io.Reader) ([]byte, []byte, error) { return s.stamp(r, format) }}
	if err := b.Open(in, buffered); err != nil {
		return &exitError{exitTemporary, fmt.Errorf("%s: %w", report.Name(file), err)}
	}
	defer b.Close()
	return s.mbox(ctx, file, b)
}

// kind returns what an input holds: what --format says, else what its first
// bytes show.
func (s *stamper) kind(head []byte) (mailbox.Format, error) {
	format, err := mailbox.Kind(head)
	if s.format != mailbox.Auto && (err == nil || errors.Is(err, mailbox.ErrNotMail)) {
		return s.format, nil
	}
	return format, err
}

// message writes one message. Nothing is written of one that cannot be stamped,
// so that a pipe's caller still has the original to go on with.
func (s *stamper) message(file string, in io.Reader) error {
	_, after, err := s.single(in)
	if err != nil {
		return failure(file, err)
	}
	s.warn(file)
	if _, err := io.Copy(s.out, io.MultiReader(bytes.NewReader(after), in)); err != nil {
		return &exitError{exitTemporary, fmt.Errorf("%s: %w", report.Name(file), err)}
	}
	return nil
}

// warn writes what is to be said of the last message.
func (s *stamper) warn(file string) {
	if s.warning != nil {
		fmt.Fprintf(s.err, "permalink stamp: %s: %v\n", report.Name(file), s.warning)
	}
}

// mbox writes a mailbox. A message that cannot be stamped is written as it is.
func (s *stamper) mbox(ctx context.Context, file string, b *edit.Mbox) error {
	var exit *exitError
	failed := false
	b.Failed = func(m mailbox.Message, err error) error {
		if errors.As(err, &exit) {
			return failure(file, err)
		}
		fmt.Fprintf(s.err, "permalink stamp: %s:%d: %v\n", report.Name(file), m.Offset, err)
		failed = true
		return nil
	}
	out := bufio.NewWriter(s.out)
	err := errors.Join(b.Copy(ctx, out), out.Flush())
	switch {
	case errors.As(err, &exit):
		return exit
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return &exitError{exitTemporary, fmt.Errorf("%s: %w", report.Name(file), err)}
	case failed:
		return &exitError{exitFailed, nil}
	}
	return nil
}

// inPlace replaces files. One that cannot be stamped is reported and does not
// keep the others back; temporary trouble ends it, since it would hit all.
func (s *stamper) inPlace(ctx context.Context, inputs []string) error {
	var stamped, unchanged, failed int
	var exit *exitError
	w := inplace.Rewriter{Edit: s.file, Done: func(file string, changed bool, err error) error {
		switch {
		case errors.As(err, &exit):
			return failure(file, err)
		case err != nil:
			fmt.Fprintf(s.err, "permalink stamp: %s: %v\n", report.Name(file), mailbox.Reason(err))
			failed++
		case changed:
			s.warn(file)
			stamped++
		default:
			s.warn(file)
			unchanged++
		}
		return nil
	}}
	if err := w.Files(ctx, inputs); err != nil {
		if errors.Is(err, context.Canceled) {
			err = errGoOn
		}
		return err
	}
	fmt.Fprintf(s.out, "%d stamped, %d right already, %d failed\n", stamped, unchanged, failed)
	if failed > 0 {
		return &exitError{exitFailed, nil}
	}
	return nil
}

var errMbox = errors.New("an mbox of several messages: write a stamped copy with 'permalink stamp FILE > COPY'")

// file stamps a file that holds one message. In a Maildir each file does.
func (s *stamper) file(f *os.File, known bool) (before, after []byte, err error) {
	head := make([]byte, mailbox.KindSize)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	format, err := s.kind(head[:n])
	if err != nil {
		return nil, nil, err
	}
	if !known && format != mailbox.Single && mailbox.Several(f, format) {
		return nil, nil, errMbox
	}
	return s.single(f)
}
