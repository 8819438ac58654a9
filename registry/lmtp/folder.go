package lmtp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A folder is an open one. Its files are reached through it, not by a path, so
// that nobody can lead the server elsewhere by a link.
type folder struct {
	*os.Root
	dir *os.File // the same folder
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
		f.close()
		return folder{}, err
	}
	return f, nil
}

func (f folder) close() {
	if f.dir != nil {
		f.dir.Close()
		f.Root.Close()
	}
}

// create makes a file that was not there. One that is left behind under its
// name goes, so that a link there is not followed.
func (f folder) create(name string) (*os.File, error) {
	if err := f.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return f.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o640)
}

// unnamed returns a file that goes when it is closed.
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

// syncBoth returns when both files are on disk, in any order. A file system
// writes together what is asked for at once.
func syncBoth(a, b *os.File) error {
	other := make(chan error, 1)
	go func() { other <- b.Sync() }()
	return errors.Join(a.Sync(), <-other)
}
