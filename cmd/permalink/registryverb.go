package main

import (
	"bufio"
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

const registryLong = `Look after a whole registry. A registry file must not be in use: stop
permalink-milter first. One in Redis may be, while these verbs run.

Run them as the user that permalink-milter runs as, so that it can write the
files that they make.`

const registryExample = `  permalink registry check --config /etc/permalink-milter/permalink-milter.toml
  permalink registry export --registry bolt:permalinks.db > saved.jsonl
  permalink registry import --registry redis://redis.example.org saved.jsonl
  permalink registry copy bolt:permalinks.db redis://redis.example.org`

func newRegistry(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "registry",
		Short:   "Check, save and move a registry",
		Long:    registryLong,
		Example: registryExample,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return errors.New("name a verb: check, export, import or copy") },
	}
	cmd.AddCommand(newRegistryCheck(std), newRegistryExport(std), newRegistryImport(std), newRegistryCopy(std))
	return cmd
}

// storeFlags name a store by its URL or by the daemon's configuration, which
// also tells how to log in to it.
type storeFlags struct{ url, file string }

func (f *storeFlags) addConfig(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file, "config", "", "permalink-milter's configuration `FILE`")
}

func (f *storeFlags) add(cmd *cobra.Command) {
	f.addConfig(cmd)
	cmd.Flags().StringVar(&f.url, "registry", "", "the registry's `URL`, as registry.url in the configuration")
}

// resolve returns the URL of the store and how to log in to it.
func (f storeFlags) resolve() (url string, login config.Registry, err error) {
	c, err := archiveFlags{file: f.file}.config()
	switch {
	case err != nil:
		return "", login, err
	case f.url != "":
		return f.url, c.Registry, nil
	case f.file == "":
		return "", login, errors.New("name the registry: --registry URL or --config FILE")
	}
	return inStateDir(c.Registry.URL, c.StateDir), c.Registry, nil
}

// recordsOf yields what a store holds, and what of it cannot be read. A file
// is read as it is, however damaged, and not written.
func recordsOf(ctx context.Context, url string, login config.Registry) iter.Seq2[registry.Record, error] {
	if file, ok := strings.CutPrefix(url, "bolt:"); ok && file != "" {
		return boltreg.Inspect(file)
	}
	return func(yield func(registry.Record, error) bool) {
		store, err := openStore(url, login, false)
		if err != nil {
			yield(registry.Record{}, err)
			return
		}
		defer store.Close()
		store.Scan(ctx, "")(yield)
	}
}

// ending returns the error that ends a verb where err, of recordsOf, does. It
// is nil for damage, behind which there is more to read.
func ending(err error) error {
	var exit *exitError
	switch {
	case err == nil, errors.Is(err, boltreg.ErrDamaged):
		return nil
	case errors.As(err, &exit):
		return err
	case errors.Is(err, registry.ErrCorrupt):
		return &exitError{exitFailed, err}
	case errors.Is(err, boltreg.ErrInUse), errors.Is(err, registry.ErrUnavailable), errors.Is(err, context.Canceled):
		return &exitError{exitTemporary, err}
	}
	return &exitError{exitFailed, err}
}

// each calls do with the reservations of each hash, and tells what is damaged.
// It returns how many places are, and an error that ends the verb.
func each(records iter.Seq2[registry.Record, error], warn io.Writer, do func([]registry.Reservation) error) (damaged int, err error) {
	for r, err := range records {
		if end := ending(err); end != nil {
			return damaged, end
		}
		if err != nil {
			damaged++
			fmt.Fprintln(warn, err)
			continue
		}
		if err := do(r.Reservations()); err != nil {
			return damaged, &exitError{exitTemporary, err}
		}
	}
	return damaged, nil
}

// unlessSound is the error of a verb that told all damage.
func unlessSound(damaged int) error {
	if damaged > 0 {
		return &exitError{exitFailed, nil}
	}
	return nil
}

func newRegistryCheck(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Tell what is wrong with a registry",
		Long: `Read all of a registry and tell what is wrong: pages of a file that cannot be
read, entries that make no sense. Nothing is changed. A file has no sums over
what it holds: a changed byte within a URL or a subject is not found.

Exit codes: 0 all is well, 1 it is damaged, 2 usage, 75 it is in use or does
not answer, 78 configuration.`,
		Example: "  permalink registry check --registry bolt:permalinks.db",
		Args:    cobra.NoArgs,
	}
	var f storeFlags
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		url, login, err := f.resolve()
		if err != nil {
			return err
		}
		var n stateCount
		damaged, err := each(recordsOf(cmd.Context(), url, login), std.err, n.add)
		if err != nil {
			return err
		}
		n.conclude(std.out, config.MaskURL(url), damaged)
		return unlessSound(damaged)
	}
	return cmd
}

const repair = `What can be read may hold older copies. To repair the registry:
  permalink registry export --registry %[1]s > saved.jsonl
  mv %[2]s %[2]s.damaged
  permalink registry import --registry %[1]s saved.jsonl
Then import the last backup too, which leaves what is there.
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

func (n *stateCount) conclude(w io.Writer, url string, damaged int) {
	state := "sound"
	if damaged > 0 {
		state = "damaged in " + report.Plural(damaged, "place")
	}
	fmt.Fprintf(w, "%s is %s: %d hashes, %d reserved, %d archived\n", url, state, n.hashes, n.reserved, n.archived)
	if file, ok := strings.CutPrefix(url, "bolt:"); ok && damaged > 0 {
		fmt.Fprintf(w, repair, url, file)
	}
}

func newRegistryExport(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write a registry as JSON",
		Long: `Write one JSON object a line and reservation, as 'permalink lookup --json' does,
expired ones too. 'permalink registry import' brings all of it back. Of a
damaged registry, what can be read is written, perhaps twice.

Exit codes: 0 all is written, 1 something could not be read, 2 usage, 75 it is
in use or does not answer, 78 configuration.`,
		Example: "  permalink registry export --registry bolt:permalinks.db > saved.jsonl",
		Args:    cobra.NoArgs,
	}
	var f storeFlags
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		url, login, err := f.resolve()
		if err != nil {
			return err
		}
		out := bufio.NewWriter(std.out)
		damaged, err := each(recordsOf(cmd.Context(), url, login), std.err, func(held []registry.Reservation) error { return writeRecords(out, held) })
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
		if err := e.Encode(newRecord(r)); err != nil {
			return err
		}
	}
	return nil
}
