package main

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"permalink-milter/hashheader"
)

// maxHeader bounds the header section that is read, in bytes.
const maxHeader = 16 << 20

var errNoID = errors.New("no Message-ID in the header section")

// hash prints the hash of each file's Message-ID, as sha256sum prints sums.
func hash(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("permalink hash", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() { fmt.Fprint(stderr, usage) }
	name := flags.String("algorithm", "md5", "")
	id := flags.String("message-id", "", "")
	if flags.Parse(args) != nil {
		return exitUsage
	}
	algorithm, err := hashheader.ParseAlgorithm(*name)
	if err == nil {
		err = algorithm.Allowed()
	}
	if err != nil {
		fmt.Fprintln(stderr, "permalink hash: --algorithm:", err)
		return exitUsage
	}
	if *id != "" {
		return hashID(algorithm, *id, stdout, stderr)
	}
	files := flags.Args()
	if len(files) == 0 {
		files = []string{"-"}
	}
	code := exitOK
	for _, file := range files {
		sum, err := hashFile(algorithm, file, stdin)
		if err != nil {
			fmt.Fprintf(stderr, "permalink hash: %s: %v\n", file, err)
			code = exitFailed
			continue
		}
		fmt.Fprintf(stdout, "%s  %s\n", sum, file)
	}
	return code
}

func hashID(a hashheader.Algorithm, id string, stdout, stderr io.Writer) int {
	canonical := hashheader.Canonical(nil, id)
	sum, err := a.Hash(canonical)
	if len(canonical) == 0 {
		err = errNoID
	}
	if err != nil {
		fmt.Fprintf(stderr, "permalink hash: --message-id %q: %v\n", id, err)
		return exitFailed
	}
	fmt.Fprintln(stdout, sum)
	return exitOK
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
