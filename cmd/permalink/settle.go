package main

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/query"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

const settleArguments = `An argument is what 'permalink lookup' takes, and must mean one reservation; a bare
hash is the token without a number. A permalink-milter that holds the registry is
asked; see permalink-registry(1).
`

const releaseLong = `Give reserved permalinks up, so that other messages may have them. What an
archiver confirmed is permanent, since readers know it, and stays. Nor is a token
given to another message while a later one of its hash is held.

` + settleArguments + `
Exit codes: 0 released, 1 something was not, 2 usage, 75 the registry did not
answer, 78 configuration.`

const releaseExample = `  permalink release --list devel@lists.example.org VP3JZR3MSKY5TQSMS5FHURHQXI-2
  permalink release message.eml`

const confirmLong = `Record that a reserved message is archived, and where, as an archiver does. A
permalink that is archived already gets the new URL.

` + settleArguments + `
Exit codes: 0 confirmed, 1 it was not, 2 usage, 75 the registry did not answer, 78
configuration.`

const confirmExample = `  permalink confirm --url https://lists.example.org/devel/1.html message.eml`

// settleOptions are the flags of release and confirm.
type settleOptions struct {
	registry     registryFlags
	config, list string
	url, subject string
}

func (o *settleOptions) add(cmd *cobra.Command) {
	o.registry.add(cmd)
	addConfig(cmd, &o.config, "permalink-milter's configuration `FILE`: templates and the registry", "registry", "api")
	cmd.Flags().StringVar(&o.list, "list", "", "look at this list's `ADDRESS` alone")
}

func newRelease(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "release URL|TOKEN|FILE|MESSAGE-ID...",
		Short:   "Give reserved permalinks up",
		Long:    releaseLong,
		Example: releaseExample,
		Args:    cobra.MinimumNArgs(1),
	}
	var o settleOptions
	o.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return o.run(cmd.Context(), args, std, func(ctx context.Context, reg registry.Registry, r registry.Reservation) (string, error) {
			return "released", reg.Release(ctx, r.List, r.Token(), r.Identity)
		})
	}
	return cmd
}

func newConfirm(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "confirm --url URL URL|TOKEN|FILE|MESSAGE-ID",
		Short:   "Record where a reserved message is archived",
		Long:    confirmLong,
		Example: confirmExample,
		Args:    cobra.ExactArgs(1),
	}
	var o settleOptions
	o.add(cmd)
	cmd.Flags().StringVar(&o.url, "url", "", "the `URL` at which the archive shows the message")
	cmd.Flags().StringVar(&o.subject, "subject", "", "the message's `SUBJECT`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := registry.CheckURL(o.url); err != nil {
			return fmt.Errorf("--url: %w", err)
		}
		return o.run(cmd.Context(), args, std, func(ctx context.Context, reg registry.Registry, r registry.Reservation) (string, error) {
			_, err := reg.Confirm(ctx, registry.Confirmation{List: r.List, Token: r.Token(), Identity: r.Identity, URL: o.url, Subject: o.subject})
			return "archived " + o.url, err
		})
	}
	return cmd
}

// An act settles a reservation, and says what it did.
type act func(context.Context, registry.Registry, registry.Reservation) (done string, err error)

func (o *settleOptions) run(ctx context.Context, args []string, std stdio, do act) error {
	if _, err := hashheader.CheckList(o.list); err != nil && o.list != "" {
		return fmt.Errorf("--list: %w", err)
	}
	reg, c, err := o.registry.openOr(o.config, false)
	if err != nil {
		return err
	}
	defer reg.Close()
	policy, err := policyOf(c)
	if err != nil {
		return err
	}
	failed := false
	for _, arg := range args {
		for q, err := range query.OfArgument(ctx, arg, o.list, policy, std.in) {
			var r registry.Reservation
			if err == nil {
				r, err = only(q.Exact().Find(ctx, reg), q.Kind)
			}
			done := ""
			if err == nil {
				done, err = do(ctx, reg, r)
			}
			switch {
			case errors.Is(err, registry.ErrUnavailable) && !errors.Is(err, registry.ErrCorrupt):
				return &exitError{exitTemporary, err}
			case err != nil:
				failed = true
				fmt.Fprintf(std.err, "%s: %s\n", report.Text(arg), printable(err))
			default:
				fmt.Fprintln(std.out, r.List, r.Token(), report.Text(done))
			}
		}
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	if failed {
		return &exitError{exitFailed, nil}
	}
	return nil
}

// only returns the one reservation that was found for an argument, taken for a
// kind. It returns an error unless there is just one.
func only(found iter.Seq2[registry.Reservation, error], kind string) (one registry.Reservation, err error) {
	n := 0
	for r, err := range found {
		if err != nil {
			return one, err
		}
		if n++; n > 1 {
			return one, fmt.Errorf("it means %s on %s, %s on %s and perhaps more: name one by --list, or as HASH=CLAIM", one.Token(), one.List, r.Token(), r.List)
		}
		one = r
	}
	if n == 0 {
		return one, errors.New("nothing is reserved; taken for " + kind)
	}
	return one, nil
}
