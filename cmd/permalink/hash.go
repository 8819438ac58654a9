package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"permalink-milter/hashheader"
)

var errNoID = errors.New("no Message-ID in the header section")

const hashExample = `  permalink hash message.eml
  permalink hash --message-id '<87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>'`

func newHash(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "hash [FILE|-]...",
		Short: "Print the hash of messages or of a Message-ID",
		Long: "Print the hash of each message's Message-ID and the file's name, as sha256sum prints sums. Without a FILE, " +
			"or where it is -, the message is read from standard input.",
		Example: hashExample,
	}
	name := cmd.Flags().String("algorithm", "md5", "`md5|sha1|sha256`")
	id := cmd.Flags().String("message-id", "", "print the hash of this `ID` alone")
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		algorithm, err := hashheader.ParseAlgorithm(*name)
		if err == nil {
			err = algorithm.Allowed()
		}
		switch {
		case err != nil:
			return fmt.Errorf("--algorithm: %w", err)
		case cmd.Flags().Changed("message-id") && len(files) > 0:
			return errors.New("write --message-id or files, not both")
		case cmd.Flags().Changed("message-id"):
			return hashID(algorithm, *id, std.out)
		}
		return hashFiles(algorithm, files, std)
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

// hashFiles prints a line a file. A file that cannot be hashed is told of and
// does not keep the others back.
func hashFiles(a hashheader.Algorithm, files []string, std stdio) error {
	if len(files) == 0 {
		files = []string{"-"}
	}
	failed := false
	for _, file := range files {
		sum, err := hashFile(a, file, std.in)
		if err != nil {
			fmt.Fprintf(std.err, "permalink hash: %s: %v\n", file, err)
			failed = true
			continue
		}
		fmt.Fprintf(std.out, "%s  %s\n", sum, file)
	}
	if failed {
		return &exitError{exitFailed, nil}
	}
	return nil
}

func hashFile(a hashheader.Algorithm, file string, stdin io.Reader) (string, error) {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", errors.Unwrap(err) // the caller names the file
		}
		defer f.Close()
		stdin = f
	}
	header, err := hashheader.ReadHeader(stdin)
	if err != nil {
		return "", err
	}
	canonical, err := header.MessageID()
	if err != nil {
		return "", err
	}
	if len(canonical) == 0 {
		return "", errNoID
	}
	return a.Hash(canonical)
}
