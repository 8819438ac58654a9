package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/report"
	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

const registryLong = `Check, save, move and prune a whole registry. These verbs work whether or not
permalink-milter runs: a daemon that holds the registry is asked through
control.sock in its state_dir, which its group may open. A registry in Redis may be
in use meanwhile.`

const registryExample = `  permalink registry check
  permalink registry export --registry bolt:permalinks.db > saved.jsonl
  permalink registry import --registry redis://redis.example.org saved.jsonl
  permalink registry copy bolt:permalinks.db redis://redis.example.org
  permalink registry prune --registry bolt:permalinks.db > removed.jsonl`

func newRegistry(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "registry",
		Short:   "Check, save, move and prune a registry",
		Long:    registryLong,
		Example: registryExample,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("name a verb: check, export, import, copy or prune")
		},
	}
	cmd.AddCommand(newRegistryCheck(std), newRegistryExport(std), newRegistryImport(std), newRegistryCopy(std), newRegistryPrune(std))
	return cmd
}

// storeFlags name a store by its URL or by the daemon's configuration, which
// also has the credentials.
type storeFlags struct{ url, file string }

func (f *storeFlags) addConfig(cmd *cobra.Command, instead ...string) {
	addConfig(cmd, &f.file, "permalink-milter's configuration `FILE`", instead...)
}

func (f *storeFlags) add(cmd *cobra.Command) {
	f.addConfig(cmd, "registry")
	cmd.Flags().StringVar(&f.url, "registry", "", registryUsage)
}

// resolve returns the store that the flags name.
func (f storeFlags) resolve() (store, error) {
	if f.file == "" && f.url == "" {
		return store{}, errors.New("name the registry: --registry URL or --config FILE; no configuration is installed")
	}
	c, err := loadConfig(f.file)
	if err != nil {
		return store{}, err
	}
	return locate(cmp.Or(f.url, configured), c)
}

// ending returns the error that ends a verb if err, of store.records, does. It
// returns nil for damage, after which there is more to read.
func ending(err error) error {
	var exit *exitError
	switch {
	case err == nil, errors.Is(err, boltreg.ErrDamaged), errors.Is(err, registry.ErrCorrupt):
		return nil
	case errors.As(err, &exit):
		return err
	case errors.Is(err, boltreg.ErrInUse), errors.Is(err, registry.ErrUnavailable), errors.Is(err, context.Canceled):
		return &exitError{exitTemporary, err}
	}
	return &exitError{exitFailed, err}
}

// each calls do with the reservations of each hash and prints each damage. It
// returns the number of damaged places, and an error that ends the verb.
func each(ctx context.Context, records iter.Seq2[registry.Record, error], warn io.Writer, do func([]registry.Reservation) error) (damaged int, err error) {
	for r, err := range records {
		if ctx.Err() != nil {
			return damaged, errInterrupted
		}
		if end := ending(err); end != nil {
			return damaged, end
		}
		if err != nil {
			damaged++
			fmt.Fprintln(warn, printable(err))
			continue
		}
		if err := do(r.Reservations()); err != nil {
			return damaged, &exitError{exitTemporary, err}
		}
	}
	return damaged, nil
}

// unlessSound returns the error of a verb that printed the damage.
func unlessSound(damaged int) error {
	if damaged > 0 {
		return &exitError{exitFailed, nil}
	}
	return nil
}

func newRegistryCheck(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check a registry for damage",
		Long: `Read all of a registry and report the damage: pages of a file that cannot be
read, entries that cannot be decoded. Nothing is changed. A file has no
checksums over its entries: a changed byte within a URL or a subject is not
found. A running permalink-milter reads out the entries alone, to the first that
it cannot read; stop it to have all pages of its file checked.

Exit codes: 0 it is sound, 1 it is damaged, 2 usage, 75 it is in use or does
not answer, 78 configuration.`,
		Example: "  permalink registry check\n  permalink registry check --registry bolt:permalinks.db",
		Args:    cobra.NoArgs,
	}
	var f storeFlags
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := f.resolve()
		if err != nil {
			return err
		}
		var n stateCount
		damaged, err := each(cmd.Context(), from.records(cmd.Context()), std.err, n.add)
		if err != nil {
			return err
		}
		n.conclude(std.out, from, damaged)
		return unlessSound(damaged)
	}
	return cmd
}

const repair = `An export may hold older copies of some reservations. To repair the registry:
  permalink registry export --registry %[1]s > saved.jsonl
  mv %[2]s %[2]s.damaged
  permalink registry import --registry %[1]s saved.jsonl
Then import the last backup, too: it does not change what is there.
`

// A stateCount counts the reservations of a registry.
type stateCount struct{ hashes, reserved, archived int }

func (n *stateCount) add(held []registry.Reservation) error {
	n.hashes++
	for _, r := range held {
		if r.State == registry.Archived {
			n.archived++
		} else {
			n.reserved++
		}
	}
	return nil
}

func (n *stateCount) conclude(w io.Writer, from store, damaged int) {
	url, state := config.MaskURL(from.url), "sound"
	if from.daemon != nil {
		url += ", as permalink-milter reads it,"
	}
	if damaged > 0 {
		state = "damaged in " + report.Plural(damaged, "place")
	}
	fmt.Fprintf(w, "%s is %s: %d hashes, %d reserved, %d archived\n", url, state, n.hashes, n.reserved, n.archived)
	if file, ok := strings.CutPrefix(from.url, "bolt:"); ok && damaged > 0 {
		fmt.Fprintf(w, repair, from.url, file)
	}
}

func newRegistryExport(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a registry as JSON",
		Long: `Write each reservation, expired ones too, as one JSON object per line, as
'permalink lookup --json' does. 'permalink registry import' restores them. Of a
damaged registry, everything that can be read is written, some of it perhaps
twice.

Exit codes: 0 all is written, 1 something could not be read, 2 usage, 75 it is
in use or does not answer, 78 configuration.`,
		Example: "  permalink registry export > saved.jsonl",
		Args:    cobra.NoArgs,
	}
	var f storeFlags
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		from, err := f.resolve()
		if err != nil {
			return err
		}
		out := bufio.NewWriter(std.out)
		damaged, err := each(cmd.Context(), from.records(cmd.Context()), std.err, func(held []registry.Reservation) error { return writeRecords(out, held) })
		if err = errors.Join(err, out.Flush()); err != nil {
			return err
		}
		return unlessSound(damaged)
	}
	return cmd
}

func writeRecords(w io.Writer, held []registry.Reservation) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for _, r := range held {
		if err := e.Encode(r.JSON()); err != nil {
			return err
		}
	}
	return nil
}
