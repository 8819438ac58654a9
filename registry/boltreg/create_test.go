package boltreg_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry/boltreg"
)

func TestWhatRootCreatesIsOfTheFoldersOwner(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 8); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "permalinks.db")
	for range 2 { // the second time it is there
		store, err := boltreg.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 65534 || owner.Gid != 8 || info.Mode() != 0o640 {
		t.Errorf("owner %d, group %d, %v", owner.Uid, owner.Gid, info.Mode())
	}
}
