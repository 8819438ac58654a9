package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/edit"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry/stamp"
)

const urlLong = `Print the permalinks of a message, a line each: those that stamp would write, by
the same configuration. Without a FILE, or where it is -, the message is read
from standard input.

With --registry or --api, a message that lost a collision gets the URL of the
token that it holds. Nothing is reserved.

Exit codes: 0 printed, 1 the message has no permalink, 2 usage, 75 the registry
did not answer, 78 configuration.`

const urlExample = `  permalink url message.eml
  permalink url --archive 'https://lists.example.org/{list}/{token}' --open - < message.eml`

// urlOptions are the flags of url.
type urlOptions struct {
	archives archiveFlags
	registry registryFlags
	open     bool
}

func newURL(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "url [FILE|-]",
		Short:   "Print the permalinks of a message",
		Long:    urlLong,
		Example: urlExample,
		Args:    cobra.MaximumNArgs(1),
	}
	var o urlOptions
	o.archives.add(cmd)
	o.registry.add(cmd)
	cmd.Flags().BoolVar(&o.open, "open", false, "open the permalinks in the browser, by xdg-open")
	cmd.RunE = func(cmd *cobra.Command, inputs []string) error {
		return o.run(cmd.Context(), stdinIfNone(inputs)[0], std)
	}
	return cmd
}

func (o *urlOptions) run(ctx context.Context, file string, std stdio) error {
	if o.archives.file == "" && o.archives.templates == nil {
		return errors.New("name the archives: --config FILE or --archive TEMPLATE")
	}
	c, err := o.archives.config()
	if err != nil {
		return err
	}
	policy, err := policyOf(c)
	if err != nil {
		return err
	}
	offer := bareHash
	if o.registry.named() {
		reg, err := o.registry.open(c, false)
		if err != nil {
			return err
		}
		defer reg.Close()
		offer = offerOf(ctx, reg)
	}
	raw, err := readMessage(file, std.in)
	if err != nil {
		return failure(file, err)
	}
	d := stamp.Decide(&stamp.Message{Header: raw.Header}, policy, offer)
	switch {
	case d.Err != nil:
		return &exitError{exitTemporary, d.Err}
	case len(d.Stamps) == 0:
		return failure(file, fmt.Errorf("no permalink: %s", reasonOf(d)))
	}
	return o.print(d.Stamps, std)
}

// readMessage reads the header of a file or of standard input.
func readMessage(file string, stdin io.Reader) (edit.Raw, error) {
	in, err := openInput(file, stdin)
	if err != nil {
		return edit.Raw{}, mailbox.Reason(err)
	}
	defer in.Close()
	return edit.Read(in, mailbox.Single)
}

// reasonOf returns why a message has no permalink.
func reasonOf(d stamp.Decision) string {
	if len(d.Notes) > 0 {
		return report.Text(strings.Join(d.Notes, "; "))
	}
	return "it is of no list of the archives"
}

func (o *urlOptions) print(stamps []stamp.Stamp, std stdio) error {
	for _, s := range stamps {
		fmt.Fprintln(std.out, s.URL)
		if !o.open {
			continue
		}
		cmd := exec.Command("xdg-open", s.URL)
		cmd.Stderr = std.err
		if err := cmd.Run(); err != nil {
			return &exitError{exitFailed, fmt.Errorf("xdg-open, of the package xdg-utils, cannot open the permalink: %w", err)}
		}
	}
	return nil
}
