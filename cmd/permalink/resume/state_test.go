package resume_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"permalink-milter/cmd/permalink/resume"
	"permalink-milter/milter/mtatest/need"
)

// Root may import beside a daemon that is another user's, which must not make it
// wait, or read without end.
func TestAStateThatIsNoneIsReplaced(t *testing.T) {
	for name, make := range map[string]func(file string) error{
		"a pipe":           func(file string) error { return syscall.Mkfifo(file, 0o600) },
		"endless zeroes":   func(file string) error { return os.Symlink("/dev/zero", file) },
		"a link to itself": func(file string) error { return os.Symlink(file, file) },
		"a gigantic hole": func(file string) error {
			return errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, 1<<40))
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "import.json")
			if err := make(file); err != nil {
				t.Fatal(err)
			}
			m, err := resume.Load(file)
			if err == nil {
				t.Fatal("it was read")
			}
			if err := m.Save(); err != nil {
				t.Fatal(err)
			}
			if _, err := resume.Load(file); err != nil {
				t.Errorf("what was saved: %v", err)
			}
		})
	}
}

func TestAStateOfRootIsOfTheFoldersOwner(t *testing.T) {
	need.Root(t)
	dir := t.TempDir()
	if err := os.Chown(dir, 65534, 8); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "import.json")
	m, err := resume.Load(file)
	if err == nil {
		err = m.Save()
	}
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); owner.Uid != 65534 || owner.Gid != 8 || info.Mode() != 0o600 {
		t.Errorf("owner %d, group %d, %v", owner.Uid, owner.Gid, info.Mode())
	}
}
