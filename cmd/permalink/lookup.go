package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/query"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

const lookupLong = `Print who holds a permalink. An argument is one of these, and standard error says
which one it was taken for:
  a URL         a permalink of an archive of --config, any URL with a token
                among its parts, or one that an archive confirmed
  a hash        all its tokens are printed
  a token       as HASH-2
  HASH=CLAIM    the token that the message with this identity holds
  a file, or -  the tokens of its messages
  a Message-ID  what is nothing else

A line is LIST TOKEN STATE SINCE URL SUBJECT, "-" for what is not known. With
--json, one object a line: list, token, identity, state (reserved or archived),
since, expires, url, subject; 'permalink registry import' restores it.

A permalink-milter that holds the registry is asked through control.sock in its
state_dir, which its group may open.

With --conflicts, messages are listed that were stamped while the registry did
not answer, and whose permalink it then gave to another: a line is LIST, the
STAMPED token, the token ASSIGNED instead, IDENTITY, and the time.

An entry of the registry that cannot be read is named on standard error.

Exit codes: 0 found, 1 something is not reserved or cannot be read, 2 usage,
75 the registry did not answer, 78 configuration.`

const lookupExample = `  permalink lookup --registry bolt:permalinks.db VP3JZR3MSKY5TQSMS5FHURHQXI
  permalink lookup --list devel@lists.example.org '<abc@example.org>'
  permalink lookup message.eml
  permalink lookup --api https://permalink.example.org --token-file token --list devel@lists.example.org VP3JZR3MSKY5TQSMS5FHURHQXI-2
  permalink lookup --conflicts
  permalink lookup --registry bolt:permalinks.db --list devel@lists.example.org --all`

// lookupOptions are the flags of lookup.
type lookupOptions struct {
	registry             registryFlags
	config, list         string
	all, json, conflicts bool
}

func newLookup(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lookup [URL|HASH|TOKEN|FILE|MESSAGE-ID]...",
		Short:   "Look permalinks up in a registry",
		Long:    lookupLong,
		Example: lookupExample,
	}
	var o lookupOptions
	o.registry.add(cmd)
	addConfig(cmd, &o.config, "permalink-milter's configuration `FILE`: templates, the registry, the journal", "registry", "api")
	cmd.Flags().StringVar(&o.list, "list", "", "look at this list's `ADDRESS` alone")
	cmd.Flags().BoolVar(&o.all, "all", false, "print all reservations")
	cmd.Flags().BoolVar(&o.conflicts, "conflicts", false, "print the messages that were stamped with a permalink that another one holds")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args, std) }
	return cmd
}

func (o *lookupOptions) run(ctx context.Context, args []string, std stdio) error {
	switch {
	case o.conflicts && (o.all || len(args) > 0 || o.config == ""):
		return errors.New("--conflicts goes with --config alone, and perhaps --list")
	case !o.conflicts && o.all == (len(args) > 0):
		return errors.New("write what to look up, or --all")
	}
	if _, err := hashheader.CheckList(o.list); err != nil && o.list != "" {
		return fmt.Errorf("--list: %w", err)
	}
	if o.conflicts {
		return o.printConflicts(std)
	}
	reg, c, err := o.registry.openOr(o.config, false)
	if err != nil {
		return err
	}
	defer reg.Close()
	complete := true
	if o.all {
		_, complete, err = o.print(std, reg.List(ctx, o.list))
	} else {
		var policy *stamp.Policy
		if policy, err = policyOf(c); err == nil {
			complete, err = o.lookUp(ctx, args, reg, policy, std)
		}
	}
	if err == nil && !complete {
		err = &exitError{exitFailed, nil}
	}
	return err
}

// lookUp prints what each argument means. Complete reports whether there was
// something for each, and all of it could be read.
func (o *lookupOptions) lookUp(ctx context.Context, args []string, reg registry.Registry, policy *stamp.Policy, std stdio) (complete bool, err error) {
	complete = true
	for _, arg := range args {
		for q, err := range query.OfArgument(ctx, arg, o.list, policy, std.in) {
			n, whole := 0, true
			if err == nil {
				n, whole, err = o.print(std, q.Find(ctx, reg))
			}
			var exit *exitError
			switch {
			case errors.As(err, &exit):
				return false, err
			case err != nil:
				fmt.Fprintf(std.err, "permalink lookup: %s: %v\n", report.Text(arg), err)
			case n == 0:
				fmt.Fprintf(std.err, "permalink lookup: %s: nothing is reserved; taken for %s\n", report.Text(arg), report.Text(q.Kind))
			default:
				fmt.Fprintf(std.err, "permalink lookup: %s: taken for %s\n", report.Text(arg), report.Text(q.Kind))
			}
			complete = complete && whole && n > 0
		}
	}
	if ctx.Err() != nil {
		return false, errInterrupted
	}
	return complete, nil
}

// print writes reservations, and returns how many there were and whether all of
// them could be read.
func (o *lookupOptions) print(std stdio, reservations iter.Seq2[registry.Reservation, error]) (n int, whole bool, err error) {
	whole = true
	for r, err := range reservations {
		switch {
		case errors.Is(err, registry.ErrCorrupt):
			whole = false
			fmt.Fprintf(std.err, "permalink lookup: %s\n", printable(err))
			continue
		case err != nil:
			return n, false, &exitError{exitTemporary, err}
		}
		n++
		if o.json {
			err = writeRecords(std.out, []registry.Reservation{r})
		} else {
			_, err = fmt.Fprintln(std.out, line(r))
		}
		if err != nil {
			return n, false, &exitError{exitTemporary, err}
		}
	}
	return n, whole, nil
}

// line returns a reservation for people, in fields for awk.
func line(r registry.Reservation) string {
	parts := []string{r.List, r.Token(), r.State.String(), r.Since.Format(time.RFC3339), hashheader.Printable(r.URL), hashheader.Printable(r.Subject)}
	for i, part := range parts {
		if part == "" {
			parts[i] = "-"
		}
	}
	return strings.Join(parts, " ")
}
