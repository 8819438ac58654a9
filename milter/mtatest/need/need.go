// Package need says what a test needs beyond the Go toolchain: programs that
// must be installed, and time.
//
// # How to use it
//
// Call it first, in the test or in the helper that starts the program:
//
//	need.Program(t, "redis-server", "redis-server")
//
// The test is skipped where the program is missing, with the command that
// installs it, and in -short mode. With CI=true in the environment a missing
// program fails the test instead, so that a run which counts hides nothing.
package need

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program returns the path of a program, which it looks for in PATH and
// /usr/sbin. Debian is the package, or the packages separated by spaces, that
// brings it.
func Program(t testing.TB, name, debian string) string {
	t.Helper()
	Time(t, "it runs "+name)
	for _, name := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	missing(t, name, "testdata/install.sh "+debian)
	return ""
}

// File checks that a file exists that a command, given from the root of the
// repository, makes.
func File(t testing.TB, path, command string) {
	t.Helper()
	Time(t, "it needs "+path)
	if _, err := os.Stat(path); err != nil {
		missing(t, path, command)
	}
}

// Root skips a test that only root can run, and fails it with CI=true.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip(t, "only root can run this test: use sudo")
	}
}

// Time skips a test in -short mode. Why says what takes long.
func Time(t testing.TB, why string) {
	t.Helper()
	if testing.Short() {
		t.Skip("not in -short mode: " + why)
	}
}

func missing(t testing.TB, what, command string) {
	t.Helper()
	skip(t, what+" is missing; install it with: "+command)
}

func skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
