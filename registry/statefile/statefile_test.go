package statefile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry/statefile"
)

const nobody, mail = 65534, 8

// folderOf returns a new folder of a user.
func folderOf(t *testing.T, uid, gid int) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestWhatRootMakesIsOfTheFoldersOwner(t *testing.T) {
	need.Root(t)
	name := filepath.Join(folderOf(t, nobody, mail), "f")
	for range 2 { // the second time it is there
		f, err := statefile.Open(name, os.O_CREATE|os.O_RDWR, 0o640)
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != nobody || owner.Gid != mail || info.Mode() != 0o640 {
		t.Errorf("owner %d, group %d, %v", owner.Uid, owner.Gid, info.Mode())
	}
}

// Root follows its own links, and nobody else's.
func TestLinksInFolders(t *testing.T) {
	need.Root(t)
	for _, test := range []struct {
		name string
		uid  int
		want error
	}{{"of root", 0, nil}, {"of another user", nobody, syscall.ELOOP}} {
		t.Run(test.name, func(t *testing.T) {
			target, name := filepath.Join(t.TempDir(), "shadow"), filepath.Join(folderOf(t, test.uid, 0), "f")
			if err := errors.Join(os.WriteFile(target, []byte("keep me"), 0o600), os.Symlink(target, name)); err != nil {
				t.Fatal(err)
			}
			for _, flag := range []int{os.O_RDONLY, os.O_RDWR, os.O_RDWR | os.O_CREATE} {
				f, err := statefile.Open(name, flag, 0o640)
				if !errors.Is(err, test.want) {
					t.Errorf("flags %#x: %v", flag, err)
				}
				f.Close()
			}
			folder := filepath.Join(filepath.Dir(name), "journal")
			if err := os.Symlink(filepath.Dir(target), folder); err != nil {
				t.Fatal(err)
			}
			if err := statefile.MkdirAll(folder, 0o750); (err == nil) != (test.want == nil) {
				t.Errorf("folder: %v", err)
			}
		})
	}
}

func TestNothingIsMadeBehindALink(t *testing.T) {
	dir := t.TempDir()
	name, target := filepath.Join(dir, "f"), filepath.Join(dir, "elsewhere")
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
	if f, err := statefile.Open(name, os.O_CREATE|os.O_RDWR, 0o640); err == nil {
		f.Close()
		t.Error("opened")
	}
	if _, err := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("made: %v", err)
	}
}
