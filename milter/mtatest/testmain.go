package mtatest

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// RunWithDaemon builds the daemon, which every user may run, sets *bin to its
// path, runs a package's tests and returns their exit code. Top is the path of
// the module's folder. In -short mode it builds nothing, since each test that
// starts the daemon is skipped.
func RunWithDaemon(m *testing.M, top string, bin *string) int {
	flag.Parse()
	if testing.Short() {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "daemon-")
	if err == nil {
		defer os.RemoveAll(dir)
		err = dependOnSources(top)
	}
	if err == nil {
		*bin, err = BuildDaemon(context.Background(), dir)
	}
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// dependOnSources looks at the module's files, of which a test binary holds
// none of the daemon's. By that alone a cached result does not outlive a change
// of the daemon.
func dependOnSources(top string) error {
	return filepath.WalkDir(top, func(name string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(name) == ".go" {
			_, err = os.Stat(name)
		}
		return err
	})
}
