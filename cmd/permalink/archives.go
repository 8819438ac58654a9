package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry/stamp"
)

// archiveFlags say which archives there are: the daemon's configuration, or
// templates.
type archiveFlags struct {
	file      string
	templates []string
	list      string
}

func (a *archiveFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&a.file, "config", "", "take the archives from permalink-milter's configuration `FILE`")
	cmd.Flags().StringArrayVar(&a.templates, "archive", nil, "the URL `TEMPLATE` of an archive's permalinks; may be repeated")
	cmd.Flags().StringVar(&a.list, "list", "", "the list's `ADDRESS`; default: what List-Post and List-Id tell")
	cmd.MarkFlagsMutuallyExclusive("config", "archive")
	cmd.MarkFlagsMutuallyExclusive("config", "list")
}

// config returns the configuration that the flags mean. Its error for a file
// is one of configuration.
func (a archiveFlags) config() (*config.Config, error) {
	if a.file != "" {
		c, problems := config.Load(a.file)
		if err := problems.Err(); err != nil {
			return nil, &exitError{exitConfig, err}
		}
		return c, nil
	}
	c := config.Default()
	for _, text := range a.templates {
		if err := hashheader.CheckTemplate(text); err != nil {
			return nil, fmt.Errorf("--archive: %w", err)
		}
		c.Archives = append(c.Archives, a.archive(text))
	}
	return c, nil
}

// archive returns the archive of a template: of the one list, or of all.
func (a archiveFlags) archive(template string) config.Archive {
	archive := config.Archive{Name: template, URL: template, List: a.list}
	if a.list == "" {
		archive.Lists, archive.Except = []string{"*"}, config.DefaultExcept()
	}
	return archive
}

// templatesOf parses the templates of all archives, in their order.
func templatesOf(c *config.Config) (out []hashheader.Template, err error) {
	for _, a := range c.Archives {
		t, err := hashheader.ParseTemplate(a.URL)
		if err != nil {
			return nil, &exitError{exitConfig, fmt.Errorf("archive %q: %w", a.Name, err)}
		}
		out = append(out, t)
	}
	return out, nil
}

// policyOf returns the milter's policy, so that the tool decides as the
// daemon does.
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
