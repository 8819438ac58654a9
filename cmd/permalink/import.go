package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/inorder"
	"permalink-milter/cmd/permalink/mailbox"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

const importLong = `Reserve the permalinks of messages that a list's archive holds already. The
inputs are those of verify. Of two messages with one hash, the first one read
keeps the bare hash, so name the mailboxes in the order of their time.

A message that holds a permalink keeps it: a second run changes nothing, and a
run that was interrupted is repeated to go on. Messages that collide, have no
Message-ID or an odd one are reported, a line each:
  SOURCE:OFFSET: collision: MESSAGE-ID: TOKEN
  SOURCE:OFFSET: missing: what was done about it
  SOURCE:OFFSET: odd: MESSAGE-ID: in which way

To restore an export, use 'permalink registry import' instead.

Exit codes: 0 all is reserved, 1 some could not be, 2 usage, 75 the registry
did not answer, 78 configuration.`

const importExample = `  permalink import --list devel@lists.example.org --config /etc/permalink-milter/permalink-milter.toml 2024.mbox 2025.mbox.gz Maildir/`

// importOptions are the flags of import.
type importOptions struct {
	sources  sourceFlags
	registry registryFlags
	config   string
	list     string
}

func newImport(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import --list ADDRESS [FILE|FOLDER|-]...",
		Short:   "Reserve the permalinks of messages that are archived already",
		Long:    importLong,
		Example: importExample,
	}
	var o importOptions
	o.sources.add(cmd)
	o.registry.add(cmd)
	cmd.Flags().StringVar(&o.config, "config", "", "permalink-milter's configuration `FILE`: how messages are named, and the registry")
	cmd.Flags().StringVar(&o.list, "list", "", "the list's `ADDRESS`")
	cmd.RunE = func(cmd *cobra.Command, inputs []string) error { return o.run(cmd.Context(), inputs, std) }
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
	reg, c, err := o.registry.openOr(o.config, true)
	if err != nil {
		return err
	}
	defer reg.Close()
	im := &importer{stdio: std, registry: reg, bar: bar}
	if im.policy, err = importPolicy(c, o.list); err != nil {
		return err
	}
	source.Wants = func(name []byte) bool { return hashheader.Examined(name) || identifies(name) }
	err = im.reserveAll(ctx, mailbox.Map(ctx, stdinIfNone(inputs), source, im.candidate))
	bar.end()
	return im.finish(ctx, err)
}

// importPolicy is the configuration's way to name messages, for one list.
func importPolicy(c *config.Config, list string) (*stamp.Policy, error) {
	one := *c
	one.Archives = []config.Archive{archiveFlags{list: list}.archive(anyArchive)}
	return policyOf(&one)
}

// An importer reserves messages and reports what is odd about them.
type importer struct {
	stdio
	registry registry.Registry
	policy   *stamp.Policy
	bar      *progress
	count    struct{ messages, reserved, held, collisions, missing, odd, errors int }
}

// A candidate is a message to reserve, or why not to.
type candidate struct {
	where   string // SOURCE:OFFSET
	id      string
	missing string // what is done about a missing Message-ID
	odd     string
	err     error
	request *registry.Request // nil: nothing to reserve
	result  registry.Result
}

// candidate names a message as the milter does.
func (im *importer) candidate(m *mailbox.Message) *candidate {
	c := &candidate{where: fmt.Sprintf("%s:%d", printable(m.Source), m.Offset), id: messageID(m.Header), err: m.Err}
	if errors.Is(m.Err, mailbox.ErrNUL) { // the archive holds it all the same
		c.err, c.odd = nil, m.Err.Error()
	}
	if c.err == nil {
		_, c.err = m.Header.MessageID()
	}
	if c.err != nil {
		return c
	}
	if c.id == "" {
		var named bool
		if c.missing, named = im.missing(m.Header); !named {
			return c
		}
	}
	if value, ok := m.Header.First(hashheader.MessageIDField); ok && c.odd == "" {
		c.odd = hashheader.OddID(value)
	}
	stamp.Decide(&stamp.Message{Header: m.Header}, im.policy, func(r registry.Request) (registry.Result, error) {
		c.request = &r
		return bareHash(r)
	})
	return c
}

// missing tells what is done about a message without Message-ID, and if it is
// named at all: that takes an id that is the same each time.
func (im *importer) missing(h hashheader.Header) (text string, named bool) {
	if mode := im.policy.Missing; mode != stamp.MissingDerive {
		return fmt.Sprintf("skipped: missing_message_id = %q", mode), false
	}
	if _, ok := hashheader.DeriveID(h); !ok {
		return "skipped: it has neither From nor Date to derive one from", false
	}
	return "an id was derived", true
}

// window is how many messages are reserved together: those of one hash in
// their order, the others at the same time, since a store that syncs to disk
// takes many at once.
const (
	window         = 1024
	reserveWorkers = 64
)

// reserveAll reserves window by window: memory does not grow with an archive.
func (im *importer) reserveAll(ctx context.Context, candidates iter.Seq[*candidate]) error {
	var batch []*candidate
	for c := range candidates {
		if batch = append(batch, c); len(batch) == window {
			if err := im.reserve(ctx, batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return im.reserve(ctx, batch)
}

// reserve reserves a batch and then reports it in its order, so that the
// output does not tell how many were reserved at a time. Its error is one that
// ends the import.
func (im *importer) reserve(ctx context.Context, batch []*candidate) error {
	for range inorder.Map(ctx, byHash(batch), reserveWorkers, func(same []*candidate) bool {
		for _, c := range same {
			if c.err == nil {
				c.result, c.err = reserveWithin(ctx, im.registry, *c.request)
			}
		}
		return true
	}) {
	}
	if err := ctx.Err(); err != nil {
		return err // some calls may still be running
	}
	for _, c := range batch {
		if errors.Is(c.err, registry.ErrUnavailable) {
			return c.err
		}
		im.report(c)
	}
	return nil
}

// byHash yields the candidates that have a hash, grouped: two of one hash that
// were reserved at a time could swap their tokens.
func byHash(batch []*candidate) iter.Seq[[]*candidate] {
	groups := make(map[string][]*candidate)
	var order []string
	for _, c := range batch {
		if c.request == nil {
			continue
		}
		hash := c.request.Hash
		if groups[hash] == nil {
			order = append(order, hash)
		}
		groups[hash] = append(groups[hash], c)
	}
	return func(yield func([]*candidate) bool) {
		for _, hash := range order {
			if !yield(groups[hash]) {
				return
			}
		}
	}
}

// report counts a message and tells what is not usual about it.
func (im *importer) report(c *candidate) {
	if c.err != nil {
		im.count.errors++
		im.line(c, "error", c.err.Error())
		return
	}
	im.count.messages++
	if c.missing != "" {
		im.count.missing++
		im.line(c, "missing", c.missing)
	}
	if c.odd != "" {
		im.count.odd++
		im.line(c, "odd", printable(c.id), c.odd)
	}
	if c.request == nil {
		return
	}
	if c.result.Outcome == registry.Held {
		im.count.held++
	} else {
		im.count.reserved++
	}
	if c.result.Ordinal > 1 {
		im.count.collisions++
		im.line(c, "collision", printable(c.id), c.result.Token())
	}
}

// line writes a line of the report.
func (im *importer) line(c *candidate, texts ...string) {
	im.bar.clear()
	fmt.Fprintf(im.out, "%s: %s\n", c.where, strings.Join(texts, ": "))
}

// finish writes the summary and tells the exit code.
func (im *importer) finish(ctx context.Context, err error) error {
	n := im.count
	fmt.Fprintf(im.out, "%s: %d reserved, %d held already; %d collided, %d without Message-ID, %d odd; %s\n",
		plural(n.messages, "message"), n.reserved, n.held, n.collisions, n.missing, n.odd, plural(n.errors, "error"))
	switch {
	case ctx.Err() != nil:
		return &exitError{exitTemporary, errors.New("interrupted; run it again to go on")}
	case err != nil:
		return &exitError{exitTemporary, err}
	case n.errors > 0:
		return &exitError{exitFailed, nil}
	}
	return nil
}
