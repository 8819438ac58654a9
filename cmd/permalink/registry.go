package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

// registryFlags name a registry: by its URL, or as the daemon's
// configuration does.
type registryFlags struct{ url, file string }

func (f *registryFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.url, "registry", "", "the registry's URL: `bolt:FILE`; default: the configuration's")
	cmd.Flags().StringVar(&f.file, "config", "", "permalink-milter's configuration `FILE`")
}

// open returns the registry and the configuration, the default one where no
// file is named.
func (f registryFlags) open(create bool) (registry.Registry, *config.Config, error) {
	c, err := archiveFlags{file: f.file}.config()
	if err != nil {
		return nil, nil, err
	}
	url := f.url
	switch {
	case url == "" && f.file == "":
		return nil, nil, errors.New("name the registry: --registry bolt:FILE, or --config FILE")
	case url == "":
		url = inStateDir(c.Registry.URL, c.StateDir)
	}
	reg, err := openRegistry(url, create)
	return reg, c, err
}

// inStateDir completes the URL of a file that is named as from there.
func inStateDir(url, dir string) string {
	if file, ok := strings.CutPrefix(url, "bolt:"); ok && file != "" && !filepath.IsAbs(file) {
		return "bolt:" + filepath.Join(dir, file)
	}
	return url
}

// openRegistry opens the registry that a URL names. One that is not there is
// made only where create says so.
func openRegistry(url string, create bool) (registry.Registry, error) {
	scheme, file, _ := strings.Cut(url, ":")
	if scheme != "bolt" || file == "" {
		return nil, fmt.Errorf("--registry %q: write bolt:FILE", url)
	}
	if _, err := os.Stat(file); err != nil && !create {
		return nil, &exitError{exitFailed, fmt.Errorf("--registry %s: %w", url, err)}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, &exitError{exitFailed, err}
	}
	store, err := boltreg.Open(file)
	switch {
	case errors.Is(err, boltreg.ErrInUse):
		return nil, &exitError{exitTemporary, err}
	case err != nil:
		return nil, &exitError{exitFailed, err}
	}
	return registry.New(store, registry.Options{}), nil
}
