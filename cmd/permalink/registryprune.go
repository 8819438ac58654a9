package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/report"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

const pruneLong = `Remove the reservations that have expired (registry.reservation_ttl), and with
--older-than those, too, that were reserved so long ago and never confirmed.
What is archived is never removed. Of several tokens of one hash, one stays as
long as a later one does. A message whose reservation is removed and that is
seen again is reserved anew, under the same token unless another message took it.

Do not use --older-than on lists whose archiver does not confirm: there, a
reservation is all that keeps a message's permalink from other messages.

Each removed reservation is written as 'permalink registry export' does, so
'permalink registry import' brings it back. permalink-milter removes expired
reservations by itself, a day after they expired.

Exit codes: 0 done, 1 something could not be read, 2 usage, 75 it is in use or
does not answer, 78 configuration.`

const pruneExample = `  permalink registry prune --registry bolt:permalinks.db > removed.jsonl
  permalink registry prune --config permalink-milter.toml --older-than 90d --list 'spam*@*' --dry-run`

type pruneFlags struct {
	storeFlags
	olderThan string
	lists     []string
	dryRun    bool
}

func newRegistryPrune(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "prune",
		Short:   "Remove reservations that nobody confirmed in time",
		Long:    pruneLong,
		Example: pruneExample,
		Args:    cobra.NoArgs,
	}
	var f pruneFlags
	f.add(cmd)
	cmd.Flags().StringVar(&f.olderThan, "older-than", "", "also remove what is not archived and was reserved before this `TIME`, such as 90d or 36h")
	cmd.Flags().StringSliceVar(&f.lists, "list", nil, "only the lists that match this glob `PATTERN`, such as *@lists.example.org; may be repeated")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "remove nothing, only write what would be removed")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		sweep, err := f.sweep(time.Now())
		if err != nil {
			return err
		}
		from, err := f.resolve()
		if err != nil {
			return err
		}
		opened, err := from.openStore(false)
		if err != nil {
			return err
		}
		defer opened.Close()
		return prune(cmd.Context(), std, opened, sweep)
	}
	return cmd
}

// sweep returns the sweep that the flags describe.
func (f pruneFlags) sweep(now time.Time) (s registry.Sweep, err error) {
	s = registry.Sweep{Expired: now, DryRun: f.dryRun}
	if f.olderThan != "" {
		age, err := parseAge(f.olderThan)
		if err != nil {
			return s, err
		}
		s.Since = now.Add(-age)
	}
	for _, pattern := range f.lists {
		if _, err := path.Match(pattern, ""); err != nil {
			return s, fmt.Errorf("--list %.80q: %w: close the [ or write \\[", pattern, err)
		}
	}
	if len(f.lists) > 0 {
		s.Of = func(list string) bool { return stamp.MatchAny(f.lists, list) }
	}
	return s, nil
}

// maxAgeDays is what a time.Duration can hold.
const maxAgeDays = 100_000

// parseAge parses a number of days, as 90d, or a duration of package time.
func parseAge(text string) (time.Duration, error) {
	if number, isDays := strings.CutSuffix(text, "d"); isDays {
		if days, err := strconv.Atoi(number); err == nil && days > 0 && days <= maxAgeDays {
			return time.Duration(days) * 24 * time.Hour, nil
		}
	} else if age, err := time.ParseDuration(text); err == nil && age > 0 {
		return age, nil
	}
	return 0, fmt.Errorf("--older-than %.20q: write days or hours, such as 90d or 36h", text)
}

// prune runs a sweep, writes what it removed, and sums up.
func prune(ctx context.Context, std stdio, store registry.Store, s registry.Sweep) error {
	out := bufio.NewWriter(std.out)
	var failed error
	s.Removed = func(r registry.Reservation) {
		failed = errors.Join(failed, writeRecords(out, []registry.Reservation{r}))
	}
	swept, err := s.Run(ctx, store)
	failed = errors.Join(failed, out.Flush())
	verb := "removed"
	if s.DryRun {
		verb = "would be removed"
	}
	fmt.Fprintf(std.err, "%d of %s %s\n", swept.Removed, report.Plural(swept.Seen, "reservation"), verb)
	if err != nil {
		return &exitError{exitTemporary, fmt.Errorf("%w; run it again to go on", err)}
	}
	if swept.Unreadable > 0 {
		failed = errors.Join(failed, fmt.Errorf("%s cannot be read: run 'permalink registry check'", report.Plural(swept.Unreadable, "record")))
	}
	if failed != nil {
		return &exitError{exitFailed, failed}
	}
	return nil
}
