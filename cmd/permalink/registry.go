package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

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
	store, err := boltreg.Open(file)
	switch {
	case errors.Is(err, boltreg.ErrInUse):
		return nil, &exitError{exitTemporary, err}
	case err != nil:
		return nil, &exitError{exitFailed, err}
	}
	return registry.New(store, registry.Options{}), nil
}
