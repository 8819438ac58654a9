package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/cmd/permalink/progress"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry/stamp"
)

// sourceFlags say how inputs are read.
type sourceFlags struct{ format string }

func (s *sourceFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&s.format, "format", "auto", "what files hold: `auto|message|mbox|mboxo|mboxrd|mboxcl|mboxcl2`")
}

// open returns the options to read inputs with, and their progress bar.
func (s sourceFlags) open(inputs []string, std stdio) (mailbox.Options, *progress.Bar, error) {
	format, err := mailbox.ParseFormat(s.format)
	bar := progress.New(std.err, inputs)
	return mailbox.Options{Format: format, Stdin: std.in, Progress: bar.Add}, bar, err
}

// stdinIfNone returns the inputs that a verb's arguments mean.
func stdinIfNone(inputs []string) []string {
	if len(inputs) == 0 {
		return []string{"-"}
	}
	return inputs
}

// openInput opens a file, or standard input for -.
func openInput(name string, stdin io.Reader) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(stdin), nil
	}
	return os.Open(name)
}

// parseAlgorithm returns the algorithm that --algorithm names, if it may be
// used.
func parseAlgorithm(name string) (hashheader.Algorithm, error) {
	algorithm, err := hashheader.ParseAlgorithm(name)
	if err == nil {
		err = algorithm.Allowed()
	}
	if err != nil {
		return 0, fmt.Errorf("--algorithm: %w", err)
	}
	return algorithm, nil
}

// addConfig adds the flag --config to a verb. Without it, the verb reads the file
// that setup.ConfigFile returns, unless one of the flags instead names what the
// file would.
func addConfig(cmd *cobra.Command, file *string, usage string, instead ...string) {
	cmd.Flags().StringVar(file, "config", "", usage+"; default: the installed one")
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		for _, name := range instead {
			if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() != configured {
				return
			}
		}
		takeDefault(cmd)
	}
}

// takeDefault reads the default configuration in a verb that --config gave none.
func takeDefault(cmd *cobra.Command) {
	f := cmd.Flags().Lookup("config")
	if f.Changed {
		return
	}
	f.Value.Set(setup.ConfigFile())
	if verbose, err := cmd.Flags().GetBool("verbose"); err == nil && verbose {
		sayDefault(cmd)
	}
}

// sayDefault tells which configuration was read without --config.
func sayDefault(cmd *cobra.Command) {
	if f := cmd.Flags().Lookup("config"); f != nil && !f.Changed && f.Value.String() != "" {
		cmd.PrintErrf("%s: without --config, the configuration is %s\n", cmd.CommandPath(), hashheader.Printable(f.Value.String()))
	}
}

// archiveFlags name the archives: by the daemon's configuration, or by
// templates.
type archiveFlags struct {
	file      string
	templates []string
	list      string
}

func (a *archiveFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVar(&a.templates, "archive", nil, "the URL `TEMPLATE` of an archive's permalinks; may be repeated")
	cmd.Flags().StringVar(&a.list, "list", "", "the list's `ADDRESS`; default: the one that List-Post, List-Id or the recipients name")
	addConfig(cmd, &a.file, "take the archives from permalink-milter's configuration `FILE`", "archive", "list", "registry", "api")
	cmd.MarkFlagsMutuallyExclusive("config", "archive")
	cmd.MarkFlagsMutuallyExclusive("config", "list")
}

// config returns the configuration that the flags describe.
func (a archiveFlags) config() (*config.Config, error) {
	c, err := loadConfig(a.file)
	if err != nil {
		return nil, err
	}
	for _, text := range a.templates {
		if _, err := hashheader.ParseTemplate(text); err != nil {
			return nil, fmt.Errorf("--archive: %w", err)
		}
		c.Archives = append(c.Archives, archiveOf(text, a.list))
	}
	return c, nil
}

// loadConfig returns the configuration in a file, or without one the defaults.
func loadConfig(file string) (*config.Config, error) {
	c, problems := setup.LoadConfig(file)
	if err := problems.Err(); err != nil {
		return nil, &exitError{exitConfig, err}
	}
	return c, nil
}

// archiveOf returns the archive of a template: of one list, or without one of
// all lists.
func archiveOf(template, list string) config.Archive {
	archive := config.Archive{Name: template, URL: template, List: list}
	if list == "" {
		archive.Lists = []string{"*"}
	}
	return archive
}

// anyArchive is the template of an archive that stands in where only the
// reservation matters.
const anyArchive = "https://permalink.invalid/{token}"

// policyOf returns the milter's policy, so that the tool decides as the daemon
// does.
func policyOf(c *config.Config) (*stamp.Policy, error) {
	if err := c.Check().Err(); err != nil {
		return nil, &exitError{exitConfig, err}
	}
	policy, err := setup.Policy(c)
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	return policy, nil
}
