package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"permalink-milter/hashheader"
)

// maxHeader bounds the header section that is read, in bytes.
const maxHeader = 16 << 20

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
	value, err := messageID(stdin)
	if err != nil {
		return "", err
	}
	canonical := hashheader.Canonical(nil, value)
	if len(canonical) == 0 {
		return "", errNoID
	}
	return a.Hash(canonical)
}

// messageID returns the value of the first Message-ID field, folds included.
// Lines end in LF or CRLF; an mbox's From_ line before the header is no field.
func messageID(r io.Reader) ([]byte, error) {
	section := &io.LimitedReader{R: r, N: maxHeader + 1}
	lines := bufio.NewReader(section)
	var value []byte
	inside := false
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		if section.N == 0 {
			return nil, fmt.Errorf("header section of more than %d bytes", maxHeader)
		}
		fold := len(line) > 0 && (line[0] == ' ' || line[0] == '\t')
		name, rest, isField := bytes.Cut(line, []byte{':'})
		switch {
		case inside && fold:
			value = append(value, line...)
		case inside:
			return value, nil
		case isField && hashheader.Field{Name: strings.TrimSpace(string(name))}.Is(hashheader.MessageIDField) && !fold:
			value, inside = append(value, rest...), true
		}
		if err != nil || len(bytes.TrimRight(line, "\r\n")) == 0 {
			return value, nil
		}
	}
}
