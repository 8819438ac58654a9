package main

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/examine"
	"permalink-milter/cmd/permalink/follow"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
)

const verifyLong = `Check the permalink headers of messages: each hash field against the
Message-ID, and Archived-At against RFC 5064 and the archive's template.

An input is a file, a folder, or - for standard input: single messages, mboxes,
Maildirs, trees of messages, and all of these compressed with gzip or zstd. The
content shows which. Without an input, standard input is read. What cannot be
read is named, and the rest is read. A symbolic link in a folder is not followed
to another folder or out of it, and that is told; pipes and devices are passed
over.

With --registry or --api, each message must hold the reservation of its
permalink. With --follow, the URL in Archived-At must answer with the message:
HyperKitty's API is asked where the URL has its form, else the page, which may
state its Message-ID.

A line is printed for each message that is not fine (with -v for each), as
SOURCE:OFFSET: RESULT: MESSAGE-ID: REASON. The end says which kinds of mailboxes
were read and how many lines that begin with "From " were taken for text (-v
names them), and counts the messages by result. A large message that looks like
several is warned of on standard error. The result words are those of RFC 8601:
  pass       something was checked, and all of it is right
  none       there is nothing to check
  fail       a hash, a permalink or a reservation is another message's
  policy     the header can be read in two ways
  permerror  malformed, or cut off
  temperror  it cannot be checked now

With --json, one object a line:
  source      file name, "-" for standard input
  index       number of the message in the source, from 1; 0 for the source itself
  offset      where the message begins, in bytes, decompressed
  message_id  the canonical Message-ID
  result      the worst of results
  results     a list of {method, result, field, value, reason}; the methods are
              message-id, message-id-hash, archived-at, reservation, follow
  error       what could not be read

Exit codes: 0 all fine, 1 something is not, 2 usage, 75 temporary trouble and
nothing worse, 78 configuration.`

const verifyExample = `  permalink verify message.eml
  permalink verify --archive 'https://lists.example.org/{list}/{token}' devel.mbox.gz
  permalink verify --require hash,archived-at Maildir/
  curl -s https://lists.example.org/devel.mbox | permalink verify --json - | jq .result`

// verifyOptions are the flags of verify.
type verifyOptions struct {
	sources  sourceFlags
	archives archiveFlags
	style    report.Style
	require  []string
	registry registryFlags
	follow   followFlags
}

func newVerify(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "verify [FILE|FOLDER|-]...",
		Short:   "Check the hash and permalink headers of messages",
		Long:    verifyLong,
		Example: verifyExample,
	}
	var o verifyOptions
	o.sources.add(cmd)
	o.archives.add(cmd)
	o.addStyle(cmd)
	o.follow.add(cmd)
	cmd.Flags().StringSliceVar(&o.require, "require", nil, "fail a message that lacks one of these: `hash,archived-at`")
	o.registry.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, inputs []string) error {
		return o.run(cmd.Context(), stdinIfNone(inputs), std)
	}
	return cmd
}

func (o *verifyOptions) addStyle(cmd *cobra.Command) {
	s := &o.style
	cmd.Flags().BoolVar(&s.JSON, "json", false, "print one JSON object a message")
	cmd.Flags().BoolVarP(&s.Verbose, "verbose", "v", false, "print a line for messages that are fine, too")
	cmd.Flags().BoolVar(&s.AuthResults, "authentication-results", false, "print the Authentication-Results header (RFC 8601) of each message")
	cmd.Flags().StringVar(&s.AuthservID, "authserv-id", hostname(), "the `NAME` in that header; default: this host's")
	cmd.Flags().Lookup("authserv-id").DefValue = "" // the manual is of no host
	cmd.MarkFlagsMutuallyExclusive("json", "verbose", "authentication-results")
}

// hostname returns the name of this host.
func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return host
}

// followFlags say whether and how Archived-At is followed.
type followFlags struct {
	follow, allowPrivate bool
	timeout              time.Duration
}

func (f *followFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.follow, "follow", false, "ask whether the URL in Archived-At answers with the message")
	cmd.Flags().BoolVar(&f.allowPrivate, "allow-private", false, "follow to loopback, private and link-local addresses, too")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 15*time.Second, "how long one permalink may take to follow")
}

// client returns nil where nothing is to be followed.
func (f followFlags) client() *follow.Client {
	if !f.follow {
		return nil
	}
	return follow.New(follow.Options{Timeout: f.timeout, AllowPrivate: f.allowPrivate})
}

// run verifies the inputs. Findings come in order, one at a time, so that
// memory does not grow with them.
func (o *verifyOptions) run(ctx context.Context, inputs []string, std stdio) error {
	x, err := o.examiner()
	if err != nil {
		return err
	}
	defer x.Close()
	source, bar, err := o.sources.open(inputs, std)
	if err != nil {
		return err
	}
	out := report.NewPrinter(o.style, std.out, std.err)
	defer tuneGC()()
	source.Wants, source.Ended = x.Wants, out.Sources.Ended
	for f := range x.Remote(ctx, mailbox.Map(ctx, inputs, source, x.Local)) {
		if out.Shows(f) {
			bar.Clear()
		}
		out.Print(f)
	}
	bar.End()
	if err := out.Finish(); err != nil {
		return &exitError{exitTemporary, fmt.Errorf("write the results: %w", err)}
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	return exitOf(out.Count)
}

// exitOf returns the error with the exit code for what was found.
func exitOf(t report.Tally) error {
	switch {
	case t.Failed():
		return &exitError{exitFailed, nil}
	case t.Unsettled():
		return &exitError{exitTemporary, nil}
	}
	return nil
}

// tuneGC lets garbage grow to several times the few MB that are alive:
// collecting it at each doubling would cost more than the memory is worth.
// The limit is for messages with giant headers.
func tuneGC() (restore func()) {
	percent, limit := debug.SetGCPercent(400), debug.SetMemoryLimit(64<<20)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// requirable has the names that --require takes, and the methods they mean.
var requirable = map[string]string{"hash": hashheader.MethodHash, "archived-at": hashheader.MethodArchivedAt}

// examiner checks the flags and opens what they name.
func (o *verifyOptions) examiner() (*examine.Examiner, error) {
	x := &examine.Examiner{Follow: o.follow.client()}
	for _, name := range o.require {
		method, ok := requirable[name]
		if !ok {
			return nil, fmt.Errorf("--require %q: write hash, archived-at or both", name)
		}
		x.Required = append(x.Required, method)
	}
	c, err := o.archives.config()
	if err != nil {
		return nil, err
	}
	policy, err := policyOf(c)
	if err != nil {
		return nil, err
	}
	x.Site = policy.Site()
	if x.Site.NeedsHeader() {
		x.SiteWants = policy.Wants
	}
	if o.registry.named() {
		x.Reservation, err = o.reservation(c)
	}
	return x, err
}

// reservation opens the registry, which must be there. Without an archive, any
// list's messages are looked up.
func (o *verifyOptions) reservation(c *config.Config) (*examine.Reservation, error) {
	if len(c.Archives) == 0 {
		c.Archives = []config.Archive{archiveOf(anyArchive, o.archives.list)}
	}
	policy, err := policyOf(c)
	if err != nil {
		return nil, err
	}
	reg, err := o.registry.open(c, false)
	return &examine.Reservation{Policy: policy, Registry: reg, Timeout: answerTimeout}, err
}
