package setup_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/cmd/internal/setup"
)

func TestTheVariableStandsInPlaceOfTheInstalledFile(t *testing.T) {
	for _, file := range []string{"", "/nowhere/c.toml"} {
		t.Setenv("PERMALINK_CONFIG", file)
		if got := setup.ConfigFile(); got != file {
			t.Errorf("%q: %q", file, got)
		}
	}
}

func TestWhoMayOpenAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	for mode, want := range map[os.FileMode]string{0o640: "as a member of the group ", 0o600: "chgrp GROUP " + file} {
		if err := os.WriteFile(file, nil, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if got := setup.WhoMay(file); !strings.Contains(got, want) {
			t.Errorf("%v: %s", mode, got)
		}
	}
	if got := setup.WhoMay("/nowhere/file"); got != "run this as root" {
		t.Errorf("no directory: %s", got)
	}
}
