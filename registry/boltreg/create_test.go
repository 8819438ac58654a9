package boltreg_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/boltreg/salvage"
)

// The owner of the folder must not choose where root creates a file.
func TestNothingIsCreatedBehindALink(t *testing.T) {
	dir := t.TempDir()
	file, elsewhere := filepath.Join(dir, "permalinks.db"), filepath.Join(t.TempDir(), "nologin")
	if err := os.Symlink(elsewhere, file); err != nil {
		t.Fatal(err)
	}
	if store, err := boltreg.Open(file); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			store.Close()
		}
		t.Errorf("opened: %v", err)
	}
	if _, err := os.Lstat(elsewhere); err == nil {
		t.Errorf("%s was created", elsewhere)
	}
}

// Whoever may write to the folder must not make a reader wait.
func TestAPipeIsNotWaitedFor(t *testing.T) {
	file := filepath.Join(t.TempDir(), "permalinks.db")
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := boltreg.Open(file); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("Open: %v", err)
	}
	for _, err := range salvage.Read(file) {
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("Read: %v", err)
		}
	}
}

// Nor what root opens: a registry of another site would be written to.
func TestRootFollowsNoLinkInTheFolderOfAnotherUser(t *testing.T) {
	need.Root(t)
	elsewhere, dir := filepath.Join(t.TempDir(), "theirs.db"), t.TempDir()
	store, err := boltreg.Open(elsewhere)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "permalinks.db")
	if err := errors.Join(store.Close(), os.Symlink(elsewhere, file), os.Chown(dir, 65534, 8)); err != nil {
		t.Fatal(err)
	}
	if store, err := boltreg.Open(file); !errors.Is(err, syscall.ELOOP) {
		if err == nil {
			store.Close()
		}
		t.Errorf("Open: %v", err)
	}
	for _, err := range salvage.Read(file) {
		if !errors.Is(err, syscall.ELOOP) {
			t.Errorf("Read: %v", err)
		}
	}
}
