package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"permalink-milter/registry/batch"
)

// A folder is an open one. Its files are reached through it, not by a path, so
// that nobody can lead the server elsewhere by a link.
type folder struct {
	*os.Root
	dir   *os.File // the same folder
	syncs *batch.Queue[struct{}]
}

// openFolder opens a folder of a Maildir, and makes it if it is missing. It
// follows no link.
func openFolder(maildir *os.Root, name string) (f folder, err error) {
	if err = maildir.Mkdir(name, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return folder{}, err
	}
	found, err := maildir.Lstat(name)
	if err != nil {
		return folder{}, err
	}
	path := filepath.Join(maildir.Name(), name)
	if !found.IsDir() {
		return folder{}, fmt.Errorf("%s is not a folder; put one in the place of a link or file", path)
	}
	if f.Root, err = maildir.OpenRoot(name); err != nil {
		return folder{}, err
	}
	if f.dir, err = f.Open("."); err != nil {
		f.Root.Close()
		return folder{}, err
	}
	opened, err := f.dir.Stat()
	if err == nil && !os.SameFile(found, opened) {
		err = fmt.Errorf("%s was replaced while it was opened", path)
	}
	if err != nil {
		f.dir.Close()
		f.Root.Close()
		return folder{}, err
	}
	f.syncs = batch.New(1, maxShared, f.syncAll)
	return f, nil
}

func (f folder) close() {
	if f.dir != nil {
		f.syncs.Close()
		f.dir.Close()
		f.Root.Close()
	}
}

// maxShared bounds those who share one fsync.
const maxShared = 1024

// sync returns when the names that the folder has are on disk. Those who call
// it while the folder is being synced share the next fsync.
func (f folder) sync() error { return f.syncs.Do(context.Background(), struct{}{}) }

func (f folder) syncAll(waiting []struct{}) []error {
	return slices.Repeat([]error{f.dir.Sync()}, len(waiting))
}

// create makes a file. It first removes one that was left behind under its name,
// so that it follows no link there.
func (f folder) create(name string) (*os.File, error) {
	file, err := f.createNew(name)
	if !errors.Is(err, fs.ErrExist) {
		return file, err
	}
	if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return f.createNew(name)
}

func (f folder) createNew(name string) (*os.File, error) {
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
}

// unnamed returns a file that is gone when it is closed.
func (f folder) unnamed(name string) (*os.File, error) {
	file, err := f.create(name)
	if err != nil {
		return nil, err
	}
	if err := f.Remove(name); err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

func (f folder) has(name string) (bool, error) {
	_, err := f.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// changed returns when an entry was last changed or moved. That is not the time
// of modification, which a reader may set to the date of the message.
func (f folder) changed(name string) (time.Time, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(f.dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return time.Time{}, err
	}
	return time.Unix(st.Ctim.Unix()), nil
}

// names returns the names of a folder's files, at most so many.
func (f folder) names(most int) ([]string, error) {
	dir, err := f.Open(".")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(most)
}

// move moves an open file between two folders. It refuses a file that has taken
// the place of the open one.
func move(file *os.File, name string, from, to folder) error {
	own, err := file.Stat()
	if err != nil {
		return err
	}
	found, err := from.Lstat(name)
	if err != nil {
		return err
	}
	if !os.SameFile(own, found) {
		return fmt.Errorf("%s was replaced by another file", filepath.Join(from.Name(), name))
	}
	if err := unix.Renameat(int(from.dir.Fd()), name, int(to.dir.Fd()), name); err != nil {
		return &os.LinkError{Op: "rename", Old: filepath.Join(from.Name(), name), New: filepath.Join(to.Name(), name), Err: err}
	}
	return nil
}

// both runs two functions at once: a file system writes together what it is
// asked for at once.
func both(a, b func() error) error {
	other := make(chan error, 1)
	go func() { other <- b() }()
	return errors.Join(a(), <-other)
}
