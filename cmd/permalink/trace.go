package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/query"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/cmd/permalink/trace"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry"
)

const traceLong = `Tell what happened to a message: what permalink-milter's log says of it, line by
line, and where the registry of --config, --registry or --api has it now. The
argument is the MTA's queue id, a Message-ID, a token, a hash or a permalink.

The log is that of the journal, as 'journalctl -u permalink-milter -o cat' prints
it, or --log FILE, in either of the formats text and json, also behind what syslog
puts before each line. Each message has a line only where log.level is info or debug.

Exit codes: 0 told, 1 nothing was found, 2 usage, 75 the registry did not answer or
the log could not be read, 78 configuration.`

const traceExample = `  permalink trace 4XyZ1234abcd
  permalink trace --since yesterday '<abc@example.org>'
  zcat /var/log/mail.log.*.gz | permalink trace --log - VP3JZR3MSKY5TQSMS5FHURHQXI`

// traceOptions are the flags of trace.
type traceOptions struct {
	registry                 registryFlags
	config, log, since, unit string
}

func newTrace(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "trace QUEUEID|MESSAGE-ID|TOKEN",
		Short:   "Tell what happened to a message",
		Long:    traceLong,
		Example: traceExample,
		Args:    cobra.ExactArgs(1),
	}
	var o traceOptions
	o.registry.add(cmd)
	addConfig(cmd, &o.config, "permalink-milter's configuration `FILE`: the registry", "registry", "api")
	cmd.Flags().StringVar(&o.log, "log", "", "read this `FILE`, or - for standard input, in place of the journal")
	cmd.Flags().StringVar(&o.since, "since", "", "read the journal from this `TIME` on, as journalctl takes it")
	cmd.Flags().StringVar(&o.unit, "unit", "permalink-milter", "the `UNIT` of systemd whose journal is read")
	cmd.MarkFlagsMutuallyExclusive("log", "since")
	cmd.MarkFlagsMutuallyExclusive("log", "unit")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args[0], std) }
	return cmd
}

func (o *traceOptions) run(ctx context.Context, subject string, std stdio) error {
	story := trace.New(subject, std.out)
	if err := o.readLog(ctx, story, std.in); err != nil {
		return &exitError{exitTemporary, err}
	}
	found := story.Events()
	if o.registry.named() || o.config != "" {
		n, err := o.askRegistry(ctx, subject, story.Permalinks(), std.out)
		if err != nil {
			return err
		}
		found += n
	}
	if found == 0 {
		return &exitError{exitFailed, fmt.Errorf("nothing is known of %s: the log may be of a level above info, or begin later", report.Text(subject))}
	}
	return nil
}

// readLog reads the file that --log names, else the journal.
func (o *traceOptions) readLog(ctx context.Context, story *trace.Story, stdin io.Reader) error {
	if o.log == "" {
		return o.readJournal(ctx, story)
	}
	log, err := openInput(o.log, stdin)
	if err != nil {
		return fmt.Errorf("--log %s: %w", o.log, mailbox.Reason(err))
	}
	defer log.Close()
	return story.Read(log)
}

func (o *traceOptions) readJournal(ctx context.Context, story *trace.Story) error {
	args := []string{"-u", o.unit, "-o", "cat", "--no-pager", "--quiet"}
	if o.since != "" {
		args = append(args, "--since", o.since)
	}
	cmd := exec.CommandContext(ctx, "journalctl", args...)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	log, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("read the journal: %w; name the log with --log FILE", err)
	}
	read := story.Read(log)
	log.Close() // ends a journalctl that still writes
	if err := cmd.Wait(); err != nil && read == nil {
		return fmt.Errorf("journalctl: %w: %s", err, strings.TrimSpace(complaint.String()))
	}
	return read
}

// askRegistry tells where the permalinks of the log are now, or where the log
// names none, those that the subject means. It returns how many there are.
func (o *traceOptions) askRegistry(ctx context.Context, subject string, permalinks []trace.Permalink, out io.Writer) (n int, err error) {
	reg, c, err := o.registry.openOr(o.config, false)
	if err != nil {
		return 0, err
	}
	defer reg.Close()
	for _, p := range permalinks {
		r, err := lookupWithin(ctx, reg, p)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return n, &exitError{exitTemporary, err}
		}
		if err != nil {
			fmt.Fprintf(out, "now %s %s: not reserved; it expired, was released, or waits in the journal\n", report.Text(p.List), report.Text(p.Token))
			continue
		}
		n++
		fmt.Fprintln(out, stateNow(r))
	}
	if len(permalinks) > 0 || !isName(subject) {
		return n, nil
	}
	policy, err := policyOf(c)
	if err != nil {
		return 0, err
	}
	for r, err := range query.Parse(subject, policy).Find(ctx, reg) {
		switch {
		case errors.Is(err, registry.ErrCorrupt):
			fmt.Fprintf(out, "now unknown: %s\n", printable(err))
			continue
		case err != nil:
			return n, &exitError{exitTemporary, err}
		}
		n++
		fmt.Fprintln(out, stateNow(r))
	}
	return n, nil
}

// isName reports whether a subject may name a permalink: a queue id does not.
func isName(subject string) bool {
	_, err := hashheader.ParseReference(subject)
	return err == nil || strings.Contains(subject, "@") || strings.Contains(subject, "://")
}

func lookupWithin(ctx context.Context, reg registry.Registry, p trace.Permalink) (registry.Reservation, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	return reg.Lookup(ctx, p.List, p.Token)
}

// stateNow says where a message is.
func stateNow(r registry.Reservation) string {
	text := fmt.Sprintf("now %s %s: %s, since %s", r.List, r.Token(), r.State, r.Since.Format(time.RFC3339))
	if r.State == registry.Archived {
		return fmt.Sprintf("now %s %s: archived at %s, reserved %s", r.List, r.Token(), hashheader.Printable(r.URL), r.Since.Format(time.RFC3339))
	}
	if !r.Expires.IsZero() {
		text += ", until " + r.Expires.Format(time.RFC3339)
	}
	return text + "; no archiver has confirmed it"
}
