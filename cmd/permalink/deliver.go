package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/hashheader"
	"permalink-milter/registry/lmtp"
)

const deliverExample = `  permalink deliver --lmtp 127.0.0.1:8824 --domain archive.example.org message.eml
  permalink deliver --lmtp unix:/run/permalink-milter/lmtp.sock --domain archive.example.org --list devel < message.eml`

const deliverLong = `Deliver a message to an archive by LMTP, and print the token under which it is
archived: the hash, or where another message holds that, the token that the
archive suggests. A message that is archived already is not archived again.
Without a FILE, or where it is -, the message is read from standard input.

Exit codes: 0 archived, 1 refused, 2 usage, 75 the archive cannot take it now:
try again later.`

// deliverFlags are the flags of deliver.
type deliverFlags struct {
	server, domain, list, from, algorithm string
	claim                                 []string
	timeout                               time.Duration
}

func newDeliver(std stdio) *cobra.Command {
	var f deliverFlags
	cmd := &cobra.Command{
		Use:     "deliver --lmtp ADDRESS --domain HOST [FILE|-]",
		Short:   "Deliver a message to an archive and print its permalink's token",
		Long:    deliverLong,
		Example: deliverExample,
		Args:    cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&f.server, "lmtp", "", "the archive's LMTP server, `HOST:PORT` or unix:/PATH")
	flags.StringVar(&f.domain, "domain", "", "the `HOST` of the archive's recipients; default: the list's")
	flags.StringVar(&f.list, "list", "", "the `LIST`, where the archive holds several: devel or devel@lists.example.org")
	flags.StringVar(&f.from, "from", "", "the `ADDRESS` of the envelope sender; default: the null sender")
	flags.StringVar(&f.algorithm, "algorithm", "md5", "the token's hash: `md5|sha1|sha256`")
	flags.StringSliceVar(&f.claim, "claim", nil, "claim the permalink by these `FIELDS`, the archive's header.identity, as message-id,date")
	flags.DurationVar(&f.timeout, "timeout", 5*time.Minute, "give up after this `TIME`")
	cmd.RunE = func(_ *cobra.Command, files []string) error {
		request, err := f.request()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), f.timeout)
		defer cancel()
		return deliver(ctx, request, stdinIfNone(files)[0], std)
	}
	return cmd
}

func (f deliverFlags) request() (lmtp.Request, error) {
	name, host, _ := strings.Cut(f.list, "@")
	if f.domain == "" {
		f.domain = host
	}
	algorithm, err := parseAlgorithm(f.algorithm)
	odd := slices.IndexFunc(f.claim, func(field string) bool { return !slices.Contains(hashheader.IdentityFields, field) })
	switch {
	case f.server == "":
		return lmtp.Request{}, errors.New("write --lmtp HOST:PORT or --lmtp unix:/PATH")
	case f.domain == "":
		return lmtp.Request{}, errors.New("write --domain HOST, the archive's")
	case err != nil:
		return lmtp.Request{}, err
	case odd >= 0:
		return lmtp.Request{}, fmt.Errorf("--claim: %q: write some of %s", f.claim[odd], strings.Join(hashheader.IdentityFields, ","))
	}
	hostname, err := os.Hostname()
	return lmtp.Request{Server: f.server, Domain: f.domain, ListName: name, Algorithm: algorithm, Identity: f.claim, From: f.from, Hostname: hostname}, err
}

func deliver(ctx context.Context, r lmtp.Request, file string, std stdio) error {
	message, err := openInput(file, std.in)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer message.Close()
	receipt, err := lmtp.Deliver(ctx, r, message)
	switch {
	case errors.Is(err, lmtp.ErrTemporary):
		return &exitError{exitTemporary, err}
	case errors.Is(err, lmtp.ErrRefused), errors.Is(err, lmtp.ErrMessage):
		return &exitError{exitFailed, err}
	case err != nil:
		return err
	}
	_, err = io.WriteString(std.out, receipt.Token+"\n")
	return err
}
