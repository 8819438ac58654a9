package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/report"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
)

var errNoID = errors.New("no Message-ID in the header section")

const hashExample = `  permalink hash message.eml
  permalink hash --message-id '<87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>'`

const hashLong = `Print the hash of each message's Message-ID, and the file's name, as sha256sum
prints sums. The inputs are those of verify; without one, standard input is
read. The messages of a mailbox are numbered from 1:
  HASH  FILE
  HASH  MAILBOX:NUMBER

Exit codes: 0 all are hashed, 1 some could not be, 2 usage, 75 interrupted.`

func newHash(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "hash [FILE|FOLDER|-]...",
		Short:   "Print the hash of messages or of a Message-ID",
		Long:    hashLong,
		Example: hashExample,
	}
	name := cmd.Flags().String("algorithm", "md5", "the algorithm: `md5|sha1|sha256`")
	id := cmd.Flags().String("message-id", "", "print the hash of this `ID` alone")
	var sources sourceFlags
	sources.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		algorithm, err := parseAlgorithm(*name)
		switch {
		case err != nil:
			return err
		case cmd.Flags().Changed("message-id") && len(files) > 0:
			return errors.New("write --message-id or files, not both")
		case cmd.Flags().Changed("message-id"):
			return hashID(algorithm, *id, std.out)
		}
		source, bar, err := sources.open(stdinIfNone(files), std)
		if err != nil {
			return err
		}
		defer bar.End()
		return hashFiles(cmd.Context(), algorithm, stdinIfNone(files), source, std)
	}
	return cmd
}

func hashID(a hashheader.Algorithm, id string, out io.Writer) error {
	canonical := hashheader.Canonical(nil, id)
	sum, err := a.Hash(canonical)
	if len(canonical) == 0 {
		err = errors.New("nothing to hash")
	} else if err == nil {
		err = hashheader.CheckID(canonical)
	}
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("--message-id %q: %w", id, err)}
	}
	fmt.Fprintln(out, sum)
	return nil
}

// A hashed is a message and its hash, or why it has none.
type hashed struct {
	mailbox.Message
	sum string
}

// hashFiles prints a line a message. What cannot be hashed is reported, and the
// rest is hashed all the same.
func hashFiles(ctx context.Context, a hashheader.Algorithm, files []string, source mailbox.Options, std stdio) error {
	source.Wants = func(name []byte) bool { return strings.EqualFold(string(name), hashheader.MessageIDField) }
	failed := false
	print := func(h hashed, name string) {
		if h.Err != nil {
			fmt.Fprintf(std.err, "permalink hash: %s: %v\n", report.Name(name), h.Err)
		}
		if failed = failed || h.sum == ""; h.sum != "" {
			fmt.Fprintf(std.out, "%s  %s\n", h.sum, report.Name(name))
		}
	}
	// A message waits for the next one: it is numbered where it is not the only
	// one of its file.
	var waiting *hashed
	for h := range mailbox.Map(ctx, files, source, func(m *mailbox.Message) hashed { return hashMessage(a, m) }) {
		if waiting != nil {
			print(*waiting, numbered(waiting, h.Index > 1 && h.Source == waiting.Source))
		}
		waiting = &h
	}
	if waiting != nil {
		print(*waiting, numbered(waiting, false))
	}
	if ctx.Err() != nil {
		return errInterrupted
	}
	if failed {
		return &exitError{exitFailed, nil}
	}
	return nil
}

// numbered returns the name of a message: its file's, with its number where it
// is one of several.
func numbered(h *hashed, several bool) string {
	if several || h.Index > 1 {
		return fmt.Sprintf("%s:%d", h.Source, h.Index)
	}
	return h.Source
}

// hashMessage hashes a message. A warning is kept.
func hashMessage(a hashheader.Algorithm, m *mailbox.Message) hashed {
	h := hashed{Message: *m}
	if !h.Whole() {
		return h
	}
	canonical, err := m.Header.MessageID()
	if err == nil && len(canonical) == 0 {
		err = errNoID
	}
	if err == nil {
		h.sum, err = a.Hash(canonical)
	}
	if err != nil {
		h.Err = err
	}
	return h
}
