package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/permalink/conform"
	"permalink-milter/hashheader"
)

const conformLong = `Test another implementation of the draft from outside, and print TAP 14 or, with
--json, an object a line. Each test has the identifier of a requirement in the
draft's appendix "Conformance Tests". A recommendation, a SHOULD, that is not
followed is printed as TODO and does not fail the run.

Exit codes: 0 all requirements are met, 1 some are not, 2 usage.`

const conformExample = `  permalink conform hash -- ./my-hash --stdin
  permalink conform hash --json -- ./my-hash | jq 'select(.outcome == "fail")'
  permalink conform filter --list devel@lists.example.org 127.0.0.1:8894
  permalink conform archive --domain archive.example.org 127.0.0.1:2424
  permalink conform resolver --list devel@lists.example.org --message m.eml --archive 'https://a.example/{token}' http://127.0.0.1:8080
  permalink conform vectors > vectors.json`

func newConform(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "conform",
		Short:   "Test an implementation of the draft from outside",
		Long:    conformLong,
		Example: conformExample,
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return errors.New("name a profile: hash, filter, archive or resolver")
		},
	}
	asJSON := cmd.PersistentFlags().Bool("json", false, "print an object a line")
	report := func(ctx context.Context, tests []conform.Test) error {
		to := conform.NewTAP(std.out)
		if *asJSON {
			to = conform.NewJSON(std.out)
		}
		failed, err := conform.Run(ctx, tests, to)
		if failed > 0 || err != nil {
			return &exitError{exitFailed, err}
		}
		return nil
	}
	cmd.AddCommand(conformHash(report), conformFilter(report), conformArchive(report), conformResolver(report), conformVectors(std))
	return cmd
}

// A conformReport runs the tests of a profile and prints them.
type conformReport func(context.Context, []conform.Test) error

const conformHashLong = `Run a command for each vector. It gets a message on standard input and prints a
line NAME: VALUE for each of Message-ID-MD5, Message-ID-SHA1, Message-ID-SHA256,
Identity and Claim that it computes; none for a message that has no such value.
Result is what a verifier says of the field Message-ID-SHA256 (RFC 8601: pass).
What it never prints is skipped, but for the algorithms that the draft asks for.

Where the variables CONFORM_TEMPLATE and CONFORM_LIST are set in its environment,
it may print the permalink of the message on that list as Archived-At: URL.`

func conformHash(report conformReport) *cobra.Command {
	return &cobra.Command{
		Use:     "hash -- COMMAND [ARGUMENT]...",
		Short:   "Test a command that hashes a message",
		Long:    conformHashLong,
		Example: "  permalink conform hash -- python3 my_hash.py",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, command []string) error {
			if _, err := exec.LookPath(command[0]); err != nil {
				return err
			}
			return report(cmd.Context(), conform.Hash(command))
		},
	}
}

const conformFilterLong = `Send messages to a milter as an MTA does, and compare its edits with what is right.
Configure it with one archive, of the list that --list names, at the URL template
of --archive. It reserves permalinks: give it a registry of its own.

At the host a.example, the spellings of forged permalinks are tried, too.`

func conformFilter(report conformReport) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "filter [HOST:PORT|unix:PATH]",
		Short:   "Test a milter",
		Long:    conformFilterLong,
		Example: "  permalink conform filter --list devel@lists.example.org unix:/run/permalink-milter/milter.sock",
		Args:    cobra.ExactArgs(1),
	}
	list := cmd.Flags().String("list", "devel@lists.example.org", "the list's `ADDRESS`")
	template := cmd.Flags().String("archive", "https://a.example/{list}/{token}", "the URL `TEMPLATE` of the archive's permalinks")
	name := cmd.Flags().String("algorithm", "md5", "of the hash field: `md5|sha1|sha256`")
	cmd.RunE = func(cmd *cobra.Command, address []string) error {
		target := conform.FilterTarget{Address: address[0]}
		var err error
		if target.Algorithm, err = parseAlgorithm(*name); err != nil {
			return err
		}
		if target.List, err = hashheader.CheckList(*list); err != nil {
			return fmt.Errorf("--list: %w", err)
		}
		if target.Template, err = hashheader.ParseTemplate(*template); err != nil {
			return fmt.Errorf("--archive: %w", err)
		}
		tests, err := conform.Filter(target)
		if err != nil {
			return err
		}
		return report(cmd.Context(), tests)
	}
	return cmd
}

const conformArchiveLong = `Negotiate permalinks with an archive by LMTP, and compare each reply with the
draft's tables. The archive stores some thirty small messages whose ids are new in
every run: give it an empty list of its own.`

func conformArchive(report conformReport) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "archive --domain DOMAIN HOST:PORT|unix:PATH",
		Short:   "Test an archive that takes mail by LMTP",
		Long:    conformArchiveLong,
		Example: "  permalink conform archive --domain archive.example.org 127.0.0.1:2424",
		Args:    cobra.ExactArgs(1),
	}
	domain := cmd.Flags().String("domain", "", "the archive's `DOMAIN`, which recipients have behind the @")
	name := cmd.Flags().String("algorithm", "md5", "of the tokens: `md5|sha1|sha256`")
	_ = cmd.MarkFlagRequired("domain") // fails for a flag that is not there
	cmd.RunE = func(cmd *cobra.Command, address []string) error {
		algorithm, err := parseAlgorithm(*name)
		if err != nil {
			return err
		}
		tests, err := conform.Archive(conform.ArchiveTarget{Address: address[0], Domain: *domain, Algorithm: algorithm})
		if err != nil {
			return err
		}
		return report(cmd.Context(), tests)
	}
	return cmd
}

const conformResolverLong = `Follow tokens of a message at a resolver. The message holds its bare hash there: it
was reserved or archived before, alone with its Message-ID. --archive names each
URL template that the resolver may lead to.`

func conformResolver(report conformReport) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "resolver --list ADDRESS --message FILE --archive TEMPLATE URL",
		Short:   "Test a resolver of permalinks",
		Long:    conformResolverLong,
		Example: "  permalink conform resolver --list devel@lists.example.org --message message.eml --archive 'https://lists.example.org/{token}' http://127.0.0.1:8080",
		Args:    cobra.ExactArgs(1),
	}
	list := cmd.Flags().String("list", "", "the list's `ADDRESS`")
	file := cmd.Flags().String("message", "", "a `FILE` with a message of the list")
	templates := cmd.Flags().StringArray("archive", nil, "a URL `TEMPLATE` that it may lead to; may be repeated")
	name := cmd.Flags().String("algorithm", "md5", "of the tokens: `md5|sha1|sha256`")
	for _, required := range []string{"list", "message", "archive"} {
		_ = cmd.MarkFlagRequired(required) // fails for a flag that is not there
	}
	cmd.RunE = func(cmd *cobra.Command, base []string) (err error) {
		target := conform.ResolverTarget{List: *list}
		if target.Base, err = url.Parse(base[0]); err != nil || !hashheader.IsWeb(target.Base) {
			return fmt.Errorf("%q is not the URL of a resolver: write http://HOST", base[0])
		}
		if target.Algorithm, err = parseAlgorithm(*name); err != nil {
			return err
		}
		for _, text := range *templates {
			template, err := hashheader.ParseTemplate(text)
			if err != nil {
				return fmt.Errorf("--archive: %w", err)
			}
			target.Templates = append(target.Templates, template)
		}
		if target.Message, err = os.ReadFile(*file); err != nil {
			return fmt.Errorf("--message: %w", err)
		}
		tests, err := conform.Resolver(target)
		if err != nil {
			return fmt.Errorf("--message: %w", err)
		}
		return report(cmd.Context(), tests)
	}
	return cmd
}

func conformVectors(std stdio) *cobra.Command {
	return &cobra.Command{
		Use:     "vectors",
		Short:   "Print the test vectors as JSON",
		Long:    "Print the vectors of all profiles as JSON. Messages are in base64.",
		Example: "  permalink conform vectors | jq '.message_ids[0]'",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if _, err := fmt.Fprintf(std.out, "%s", conform.Vectors()); err != nil {
				return &exitError{exitFailed, err}
			}
			return nil
		},
	}
}
