package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"permalink-milter/config"
	"permalink-milter/registry/httpapi"
)

const tokenNewLong = `Make a token for the HTTP API. Standard output is the table [[token]] for the file
that http.tokens_file names. It holds a digest; the token itself is printed on
standard error, or written to --token-file, and is kept nowhere else. Add the
table and reload permalink-milter.

Scopes: read (look up, list, count), reserve, confirm, release. Its lists are those
of the archives of --config that --archive names, and what --list adds; '*' alone is
all lists at once, which counts and a listing of everything need.

Exit codes: 0 made, 1 the token could not be written, 2 usage, 78 configuration.`

const tokenNewExample = `  permalink token new --scope read,reserve,confirm --archive hyperkitty
  permalink token new --scope read --list '*@lists.example.org' --name statistics --token-file token >> /etc/permalink-milter/tokens.toml`

func newToken(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Make tokens for the HTTP API",
		Long:    "Make tokens for the HTTP API. The tool needs none beside a daemon on its own host.",
		Example: tokenNewExample,
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return errors.New("name a verb: new") },
	}
	cmd.AddCommand(newTokenNew(std))
	return cmd
}

// tokenOptions are the flags of token new.
type tokenOptions struct {
	scopes, archives, lists []string
	config, name, file      string
}

func newTokenNew(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "new --scope SCOPES --archive NAME|--list PATTERN",
		Short:   "Make a token and print its table",
		Long:    tokenNewLong,
		Example: tokenNewExample,
		Args:    cobra.NoArgs,
	}
	var o tokenOptions
	cmd.Flags().StringSliceVar(&o.scopes, "scope", nil, "what the token allows: `read,reserve,confirm,release`")
	cmd.Flags().StringSliceVar(&o.archives, "archive", nil, "the `NAME` of an archive of --config, whose lists it is for")
	cmd.Flags().StringSliceVar(&o.lists, "list", nil, "a `PATTERN` of lists that it is for, as *@lists.example.org")
	addConfig(cmd, &o.config, "permalink-milter's configuration `FILE`")
	cmd.Flags().StringVar(&o.name, "name", "", "the `NAME` of who gets it, for people; default: the archive's")
	cmd.Flags().StringVar(&o.file, "token-file", "", "write the token to this new `FILE`, mode 0600")
	cmd.RunE = func(*cobra.Command, []string) error { return o.run(std) }
	return cmd
}

func (o *tokenOptions) run(std stdio) error {
	lists, err := o.allLists()
	if err == nil && len(lists) == 0 {
		err = errors.New("name the lists: --archive NAME or --list PATTERN")
	}
	if err != nil {
		return err
	}
	if o.name == "" && len(o.archives) > 0 {
		o.name = o.archives[0]
	}
	var scopes []httpapi.Scope
	for _, s := range o.scopes {
		scopes = append(scopes, httpapi.Scope(s))
	}
	token, table, err := httpapi.NewTable(o.name, scopes, lists)
	if err != nil {
		return err
	}
	if o.file == "" {
		fmt.Fprintf(std.err, "The token, which is kept nowhere else:\n%s\n", token)
	} else if err := writeNew(o.file, token+"\n"); err != nil {
		return &exitError{exitFailed, fmt.Errorf("--token-file: %w", err)}
	}
	_, err = std.out.Write(table)
	return err
}

// allLists returns the patterns of the lists that the token is for.
func (o *tokenOptions) allLists() ([]string, error) {
	if len(o.archives) == 0 {
		return o.lists, nil
	}
	if o.config == "" {
		return nil, errors.New("--archive: name the configuration that has it, too: --config FILE")
	}
	lists := slices.Clone(o.lists)
	c, err := loadConfig(o.config)
	if err != nil {
		return nil, err
	}
	for _, name := range o.archives {
		i := slices.IndexFunc(c.Archives, func(a config.Archive) bool { return a.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("--archive %q: the configuration has no archive of this name", name)
		}
		lists = append(lists, c.Archives[i].Lists...)
		if list := c.Archives[i].List; list != "" {
			lists = append(lists, list)
		}
	}
	return lists, nil
}

// writeNew writes a file that only its owner may read. It replaces none.
func writeNew(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
