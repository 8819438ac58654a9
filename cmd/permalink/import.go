package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/backfill"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/cmd/permalink/resume"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

const importLong = `Enter the messages that a list's archive holds already into the registry, as
archived under the URL that the archive's template gives: that of the archive
of --config that holds the list, or --url TEMPLATE. With --reserve-only, and
where no archive is named, they are reserved alone, and expire where the
registry's reservation_ttl says so.

The inputs are those of verify. Of two messages with one hash, the first one
read gets the bare hash, so name the mailboxes in the order of their time. What
an archiver confirmed before stays.

A second run changes nothing, and a run that was interrupted is repeated to go
on. With --config or --state, it reads what is new since the last one: what was
appended to an mbox, the new messages of a Maildir, and other files that are new
or changed. So it can run from cron each night. What could not be imported is
tried again. Everything is read again with --anew, where the registry does not
hold what was imported last, and where the archive or the list is another one.
Standard input is read whole, and so is everything with --reserve-only, since
reservations may expire.

Messages that are unusual are reported, a line each:
  SOURCE:OFFSET: collision: MESSAGE-ID: TOKEN (message NUMBER, DATE, SUBJECT)
  SOURCE:OFFSET: missing: what was done about it (...)
  SOURCE:OFFSET: odd: MESSAGE-ID: in which way (...)
  SOURCE:OFFSET: skipped: MESSAGE-ID: why it has no permalink (...)
  SOURCE:OFFSET: error: what could not be read or entered

The end says which kinds of mailboxes were read, how many lines that begin with
"From " were taken for text (-v names them), and counts the messages. A large
message that looks like several is warned of on standard error.

With --report, the lines are written to a file, too, one JSON object a line: event
(one of these words), source, index (number of the message in the source),
offset, message_id, token, date, subject, reason.

To restore an export, use 'permalink registry import' instead.

Exit codes: 0 all is entered, 1 some could not be, 2 usage, 75 the registry did
not answer, 78 configuration.`

const importExample = `  permalink import --list devel@lists.example.org 2024.mbox 2025.mbox.gz Maildir/
  permalink import --list devel@lists.example.org --registry bolt:new.db --url 'https://lists.example.org/{list}/{token}' devel.mbox`

// importOptions are the flags of import.
type importOptions struct {
	sources           sourceFlags
	registry          registryFlags
	config, list, url string
	reserveOnly       bool
	report            string
	state             string
	anew              bool
	verbose           bool
}

func newImport(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import --list ADDRESS [FILE|FOLDER|-]...",
		Short:   "Enter messages that are archived already into a registry",
		Long:    importLong,
		Example: importExample,
	}
	var o importOptions
	o.sources.add(cmd)
	o.registry.add(cmd)
	addConfig(cmd, &o.config, "permalink-milter's configuration `FILE`: how messages are named, the archives, and the registry", "registry", "api")
	cmd.Flags().StringVar(&o.list, "list", "", "the list's `ADDRESS`")
	cmd.Flags().StringVar(&o.url, "url", "", "the `TEMPLATE` of the URLs under which the messages are archived")
	cmd.Flags().BoolVar(&o.reserveOnly, "reserve-only", false, "reserve the permalinks, and leave it to an archiver to confirm them")
	cmd.Flags().StringVar(&o.report, "report", "", "write the report to this `FILE`, too, as JSON lines")
	cmd.Flags().StringVar(&o.state, "state", "", "remember in this `FILE` what was imported; default with --config: import-LIST.json in its state_dir")
	cmd.Flags().BoolVar(&o.anew, "anew", false, "read what was imported before, too")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "name the lines of mailboxes that begin with \"From \" and were taken for text")
	cmd.MarkFlagsMutuallyExclusive("url", "reserve-only")
	cmd.RunE = func(cmd *cobra.Command, inputs []string) error {
		return o.run(cmd.Context(), stdinIfNone(inputs), std)
	}
	return cmd
}

func (o *importOptions) run(ctx context.Context, inputs []string, std stdio) error {
	if _, err := hashheader.CheckList(o.list); err != nil {
		return fmt.Errorf("--list: %w", err)
	}
	source, bar, err := o.sources.open(inputs, std)
	if err != nil {
		return err
	}
	defer bar.End()
	reg, c, err := o.registry.openOr(o.config, true)
	if err != nil {
		return err
	}
	defer reg.Close()
	if len(c.Archives) == 0 && o.url == "" && !o.reserveOnly {
		fmt.Fprintln(std.err, "permalink import: neither --url nor a configuration names an archive: the permalinks are reserved, not confirmed")
		o.reserveOnly = true
	}
	policy, err := o.policy(c)
	if err != nil {
		return err
	}
	json, err := o.openReport()
	if err != nil {
		return err
	}
	memory, err := o.memory(ctx, c, reg, std)
	if err != nil {
		return err
	}
	var sources report.Sources
	r := &backfill.Reporter{Out: std.out, JSON: json, Clear: bar.Clear, ReserveOnly: o.reserveOnly}
	im := &backfill.Importer{Registry: reg, Policy: policy, List: o.list, Timeout: answerTimeout, ReserveOnly: o.reserveOnly, Report: r.Message}
	source.Wants, source.Ended = im.Wants, sources.Ended
	if memory != nil {
		source.Memory = memory
		im.Report = func(m *backfill.Message) {
			r.Message(m)
			memory.Message(m)
		}
	}
	err = im.Run(ctx, mailbox.Map(ctx, inputs, source, im.Prepare))
	bar.End()
	o.remember(memory, err == nil && ctx.Err() == nil, std)
	sources.Print(std.out, o.verbose)
	fmt.Fprintln(std.out, r)
	sources.Warn(std.err)
	return o.outcome(ctx, r, json, err)
}

// memory returns what earlier imports have read, or nil where that does not
// count. What cannot be read of it is told of, and then all is read.
func (o *importOptions) memory(ctx context.Context, c *config.Config, reg registry.Registry, std stdio) (*resume.Memory, error) {
	if o.state == "" && o.config != "" {
		o.state = filepath.Join(c.StateDir, "import-"+url.PathEscape(strings.ToLower(o.list))+".json")
	}
	if o.state == "" || o.reserveOnly {
		return nil, nil
	}
	registryURL := o.registry.url + o.registry.api
	if registryURL == "" {
		registryURL = config.InStateDir(c.Registry.URL, c.StateDir)
	}
	memory, err := resume.Load(o.state, strings.ToLower(o.list), o.url, o.sources.format, registryURL, c.Header, c.Archives)
	if err != nil {
		fmt.Fprintf(std.err, "permalink import: %s: %v: everything is read again\n", o.state, mailbox.Reason(err))
		return memory, nil
	}
	if o.anew {
		memory.Forget()
	}
	forgot, err := memory.Check(ctx, reg)
	if err != nil {
		return nil, &exitError{exitTemporary, err}
	}
	if forgot {
		fmt.Fprintln(std.err, "permalink import: the registry does not hold what was imported last: everything is read again")
	}
	return memory, nil
}

// remember saves what was read, and says how much was left out.
func (o *importOptions) remember(memory *resume.Memory, all bool, std stdio) {
	if memory == nil {
		return
	}
	if all {
		memory.End()
	}
	if err := memory.Save(); err != nil {
		fmt.Fprintf(std.err, "permalink import: what was imported cannot be remembered, name a file with --state: %v\n", err)
	}
	if past := memory.Past(); past > 0 {
		fmt.Fprintf(std.out, "%s skipped: imported by an earlier run\n", report.Plural(past, "message"))
	}
}

// policy returns the configuration's way to name messages, with the archives
// of the list alone.
func (o *importOptions) policy(c *config.Config) (*stamp.Policy, error) {
	one := *c
	if o.url != "" {
		if _, err := hashheader.ParseTemplate(o.url); err != nil {
			return nil, fmt.Errorf("--url: %w", err)
		}
		one.Archives = []config.Archive{archiveOf(o.url, o.list)}
	}
	policy, err := policyOf(&one)
	if err != nil || len(policy.Holding(o.list)) > 0 {
		return policy, err
	}
	if !o.reserveOnly {
		return nil, fmt.Errorf("no archive of the configuration holds %s: write --url TEMPLATE, or --reserve-only", o.list)
	}
	one.Archives = []config.Archive{archiveOf(anyArchive, o.list)}
	return policyOf(&one)
}

// A reportFile is the file of --report.
type reportFile struct {
	*bufio.Writer
	file *os.File
}

// openReport returns nil without --report.
func (o *importOptions) openReport() (io.WriteCloser, error) {
	if o.report == "" {
		return nil, nil
	}
	f, err := os.Create(o.report)
	if err != nil {
		return nil, &exitError{exitFailed, fmt.Errorf("--report: %w", err)}
	}
	return &reportFile{bufio.NewWriter(f), f}, nil
}

// Close writes what is buffered.
func (r *reportFile) Close() error { return errors.Join(r.Flush(), r.file.Close()) }

// outcome closes the report and returns the error with the exit code.
func (o *importOptions) outcome(ctx context.Context, r *backfill.Reporter, json io.Closer, err error) error {
	written := r.Err()
	if json != nil {
		written = errors.Join(written, json.Close())
	}
	switch {
	case ctx.Err() != nil:
		return errGoOn
	case err != nil:
		return &exitError{exitTemporary, err}
	case written != nil:
		return &exitError{exitTemporary, fmt.Errorf("--report: %w", written)}
	case r.Failed():
		return &exitError{exitFailed, nil}
	}
	return nil
}
