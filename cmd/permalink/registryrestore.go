package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/backfill"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/hashheader/mailbox/inorder"
	"permalink-milter/registry"
)

// maxRecord bounds a line of an export.
const maxRecord = 64 << 10

const restoredTwice = `Each message keeps its token, state, URL, subject and times. A reservation that
exists already is not changed, except that an archived one replaces one that is
not, and a later expiry an earlier one. If another message holds a token, that
is reported and nothing is changed. To continue an interrupted run, repeat it.

Exit codes: 0 all reservations are there, 1 some could not be read or have
another holder, 2 usage, 75 a registry is in use or does not answer, 78
configuration.`

func newRegistryImport(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "import [FILE|-]...",
		Short:   "Restore an export",
		Long:    "Restore the reservations that 'permalink registry export' wrote.\n\n" + restoredTwice,
		Example: "  permalink registry import --registry bolt:permalinks.db saved.jsonl",
	}
	var f storeFlags
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, inputs []string) error {
		to, err := f.resolve()
		if err != nil {
			return err
		}
		return to.restoreAll(cmd.Context(), std, linesToRestore(std.in, stdinIfNone(inputs)))
	}
	return cmd
}

func newRegistryCopy(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "copy FROM TO",
		Short:   "Copy a registry into another",
		Long:    "Copy all reservations of the registry FROM to the registry TO, both URLs as in\nregistry.url of the configuration, or the word config for that of --config, which\nhas the credentials for Redis, too.\n\n" + restoredTwice,
		Example: "  permalink registry copy --config permalink-milter.toml config redis://redis.example.org",
		Args:    cobra.ExactArgs(2),
	}
	var f storeFlags
	f.addConfig(cmd)
	cmd.PreRun = func(cmd *cobra.Command, urls []string) {
		if slices.Contains(urls, configured) {
			takeDefault(cmd)
		}
	}
	cmd.RunE = func(cmd *cobra.Command, urls []string) error {
		from, err := storeFlags{urls[0], f.file}.resolve()
		if err != nil {
			return err
		}
		to, err := storeFlags{urls[1], f.file}.resolve()
		if err != nil {
			return err
		}
		return to.restoreAll(cmd.Context(), std, recordsToRestore(from.records(cmd.Context())))
	}
	return cmd
}

// A restoring is the reservations of one hash and the result of restoring
// them.
type restoring struct {
	where   string // FILE:LINE, if any
	held    []registry.Reservation
	changed bool
	err     error
}

// restoreAll restores many at a time, because a store that syncs to disk
// commits many at once.
func (s store) restoreAll(ctx context.Context, std stdio, all iter.Seq[*restoring]) error {
	opened, err := s.openStore(true)
	if err != nil {
		return err
	}
	defer opened.Close()
	var restored, there, problems int
	for one := range inorder.Map(ctx, all, backfill.Workers, func(one *restoring) *restoring { return one.restore(ctx, opened) }) {
		var exit *exitError
		switch {
		case errors.As(one.err, &exit):
			return one.err
		case one.err != nil:
			problems++
			fmt.Fprintf(std.err, "%s%v\n", one.where, one.err)
		case one.changed:
			restored += len(one.held)
		default:
			there += len(one.held)
		}
	}
	if ctx.Err() != nil {
		return errGoOn
	}
	fmt.Fprintf(std.out, "%d restored, %d there already; %s\n", restored, there, report.Plural(problems, "problem"))
	return unlessSound(problems)
}

func (one *restoring) restore(ctx context.Context, store registry.Store) *restoring {
	if one.err == nil {
		one.changed, one.err = registry.Restore(ctx, store, one.held)
	}
	if errors.Is(one.err, registry.ErrUnavailable) && !errors.Is(one.err, registry.ErrCorrupt) {
		one.err = &exitError{exitTemporary, fmt.Errorf("%w; run it again to go on", one.err)}
	}
	return one
}

// recordsToRestore yields the records of another store.
func recordsToRestore(records iter.Seq2[registry.Record, error]) iter.Seq[*restoring] {
	return func(yield func(*restoring) bool) {
		for r, err := range records {
			if end := ending(err); end != nil {
				err = end
			}
			if !yield(&restoring{held: r.Reservations(), err: err}) {
				return
			}
		}
	}
}

// linesToRestore yields the reservations of all inputs. Consecutive lines of
// one hash go together.
func linesToRestore(stdin io.Reader, inputs []string) iter.Seq[*restoring] {
	return func(yield func(*restoring) bool) {
		for _, input := range inputs {
			if !fileToRestore(stdin, input, yield) {
				return
			}
		}
	}
}

// fileToRestore returns false if no more is wanted.
func fileToRestore(stdin io.Reader, name string, yield func(*restoring) bool) bool {
	in, err := openInput(name, stdin)
	if err != nil {
		return yield(&restoring{where: name + ": ", err: mailbox.Reason(err)})
	}
	defer in.Close()
	var last *restoring
	for one := range parseLines(name, in) {
		if last != nil && last.joins(one) {
			last.held = append(last.held, one.held...)
			continue
		}
		if last != nil && !yield(last) {
			return false
		}
		last = one
	}
	return last == nil || yield(last)
}

func (one *restoring) joins(next *restoring) bool {
	return one.err == nil && next.err == nil && one.held[0].List == next.held[0].List && one.held[0].Hash == next.held[0].Hash
}

// parseLines yields the reservation of each line.
func parseLines(name string, in io.Reader) iter.Seq[*restoring] {
	return func(yield func(*restoring) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxRecord)
		n := 0
		for lines.Scan() {
			n++
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			one := &restoring{where: fmt.Sprintf("%s:%d: ", name, n)}
			var held registry.Reservation
			held, one.err = parseRecord(lines.Bytes())
			one.held = []registry.Reservation{held}
			if !yield(one) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(&restoring{where: fmt.Sprintf("%s:%d: ", name, n+1), err: err})
		}
	}
}

// parseRecord reads a line of an export. It refuses a key that it does not
// know, since a newer version wrote that and it would be lost.
func parseRecord(line []byte) (r registry.Reservation, err error) {
	var record registry.ReservationJSON
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&record); err != nil {
		return r, err
	}
	return record.Reservation()
}
