package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/follow"
	"permalink-milter/cmd/permalink/inorder"
	"permalink-milter/cmd/permalink/mailbox"
	"permalink-milter/hashheader"
)

const verifyLong = `Check the permalink headers of messages: each hash field against the
Message-ID, and Archived-At against RFC 5064 and the archive's template.

An input is a file, a folder, or - for standard input: single messages, mboxes,
Maildirs, trees of messages, and all of these compressed with gzip or zstd. It
is told by its content. Without an input, standard input is read.

With --registry or --api, each message must hold the reservation of its
permalink. With --follow, the URL in Archived-At is asked: HyperKitty's API
where it is HyperKitty, else the page, which may state its Message-ID.

A line is printed for each message that is not fine (with -v for each), as
SOURCE:OFFSET: RESULT: MESSAGE-ID: REASON, and a summary at the end. The result
words are those of RFC 8601:
  pass       something was checked, and all of it is right
  none       there is nothing to check
  fail       a hash, a permalink or a reservation is another message's
  policy     the header can be read in two ways
  permerror  malformed, or cut off
  temperror  it could not be told now

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
  permalink verify --require hash,archived-at --config /etc/permalink-milter/permalink-milter.toml Maildir/
  curl -s https://lists.example.org/devel.mbox | permalink verify --json - | jq .result`

// verifyOptions are the flags of verify.
type verifyOptions struct {
	sources  sourceFlags
	archives archiveFlags
	output   outputFlags
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
	o.output.add(cmd)
	o.follow.add(cmd)
	cmd.Flags().StringSliceVar(&o.require, "require", nil, "absence is a failure too: `hash,archived-at`")
	o.registry.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, inputs []string) error { return o.run(cmd.Context(), inputs, std) }
	return cmd
}

// run verifies the inputs. Findings come in order, one at a time, so that
// memory does not grow with them.
func (o *verifyOptions) run(ctx context.Context, inputs []string, std stdio) error {
	x, err := o.examiner()
	if err != nil {
		return err
	}
	defer x.close()
	source, bar, err := o.sources.open(inputs, std)
	if err != nil {
		return err
	}
	out := o.output.printer(std)
	defer tuneGC()()
	source.Wants = x.wants
	findings := x.remote(ctx, mailbox.Map(ctx, stdinIfNone(inputs), source, x.examine))
	for f := range findings {
		if out.shows(f) {
			bar.clear()
		}
		out.print(f)
	}
	bar.end()
	if err := out.finish(); err != nil {
		return &exitError{exitTemporary, fmt.Errorf("write the results: %w", err)}
	}
	if ctx.Err() != nil {
		return &exitError{exitTemporary, errors.New("interrupted")}
	}
	return out.count.exit()
}

// tuneGC lets garbage grow to several times the few MB that are alive:
// collecting it at each doubling would cost more than the memory is worth.
// The limit counts for messages with giant headers.
func tuneGC() (restore func()) {
	percent, limit := debug.SetGCPercent(400), debug.SetMemoryLimit(64<<20)
	return func() {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}
}

// An examiner holds what messages are checked against.
type examiner struct {
	templates   []hashheader.Template
	required    []string // methods
	reservation *reservationCheck
	follow      *follow.Client // nil: nothing is followed
}

// requirable are the names that --require takes, and the methods they mean.
var requirable = map[string]string{"hash": hashheader.MethodHash, "archived-at": hashheader.MethodArchivedAt}

// examiner opens and checks all that the flags name.
func (o *verifyOptions) examiner() (*examiner, error) {
	x := &examiner{follow: o.follow.client()}
	for _, name := range o.require {
		method, ok := requirable[name]
		if !ok {
			return nil, fmt.Errorf("--require %q: write hash, archived-at or both", name)
		}
		x.required = append(x.required, method)
	}
	c, err := o.archives.config()
	if err != nil {
		return nil, err
	}
	if x.templates, err = templatesOf(c); err != nil {
		return nil, err
	}
	if o.registry.named() {
		x.reservation, err = newReservationCheck(o.registry, o.archives.list, c)
	}
	return x, err
}

func (x *examiner) close() {
	if x.reservation != nil {
		x.reservation.registry.Close()
	}
	if x.follow != nil {
		x.follow.Close()
	}
}

// A finding is what is found of one message.
type finding struct {
	mailbox.Message
	checks []hashheader.Check
}

// wants tells which fields the checks look at.
func (x *examiner) wants(name []byte) bool {
	return hashheader.Examined(name) || x.reservation != nil && identifies(name)
}

// examine does the checks that need nothing but the message.
func (x *examiner) examine(m *mailbox.Message) finding {
	f := finding{Message: *m}
	if m.Index > 0 && !errors.Is(m.Err, hashheader.ErrSectionTooBig) {
		f.checks = hashheader.Examine(m.Header, x.templates)
		x.insist(f.checks)
	}
	return f
}

// insist makes a failure of a required method of which nothing passes.
func (x *examiner) insist(checks []hashheader.Check) {
	for _, method := range x.required {
		passes := func(c hashheader.Check) bool { return c.Method == method && c.Result == hashheader.Pass }
		if slices.ContainsFunc(checks, passes) {
			continue
		}
		for i := range checks {
			if c := &checks[i]; c.Method == method && c.Result == hashheader.None {
				c.Result, c.Reason = hashheader.Fail, c.Reason+", and it is required"
			}
		}
	}
}

// remoteWorkers is how many messages are looked up at a time.
const remoteWorkers = 32

// remote adds the checks that ask others.
func (x *examiner) remote(ctx context.Context, in iter.Seq[finding]) iter.Seq[finding] {
	if x.reservation == nil && x.follow == nil {
		return in
	}
	return inorder.Map(ctx, in, remoteWorkers, func(f finding) finding {
		if f.checks == nil {
			return f
		}
		if x.reservation != nil {
			f.checks = append(f.checks, x.reservation.check(ctx, f.Header)...)
		}
		if x.follow != nil {
			f.checks = append(f.checks, followAll(ctx, x.follow, f.Header)...)
		}
		return f
	})
}

// result is the worst of a message's results. That there is a Message-ID is
// no success by itself.
func (f finding) result() hashheader.Result {
	worst := hashheader.None
	for _, c := range f.checks {
		if c.Method == hashheader.MethodMessageID && c.Result == hashheader.Pass {
			continue
		}
		if rank(c.Result) > rank(worst) {
			worst = c.Result
		}
	}
	if f.Err != nil && rank(worst) < rank(hashheader.PermError) {
		worst = hashheader.PermError
	}
	return worst
}

// results are all words, the best first.
var results = []hashheader.Result{hashheader.None, hashheader.Pass, hashheader.TempError, hashheader.Policy, hashheader.PermError, hashheader.Fail}

// rank orders results by how bad they are.
func rank(r hashheader.Result) int { return slices.Index(results, r) }

// stdinIfNone is what a verb's inputs mean.
func stdinIfNone(inputs []string) []string {
	if len(inputs) == 0 {
		return []string{"-"}
	}
	return inputs
}

// hostname is this host's, for those who do not say otherwise.
func hostname() string {
	host, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return host
}
