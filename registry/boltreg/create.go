package boltreg

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// openFile is os.OpenFile. A file that root creates gets the owner and the group
// of its folder, so that the daemon, which runs as another user, can open what
// the tool made. Nothing is created behind a symbolic link that leads to nothing:
// the folder's owner could choose where root writes.
func openFile(name string, flag int, mode os.FileMode) (*os.File, error) {
	file, err := os.OpenFile(name, flag|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return os.OpenFile(name, flag&^os.O_CREATE, mode)
	}
	if err != nil || os.Geteuid() != 0 {
		return file, err
	}
	folder, err := os.Stat(filepath.Dir(name))
	if err == nil {
		owner := folder.Sys().(*syscall.Stat_t)
		err = file.Chown(int(owner.Uid), int(owner.Gid))
	}
	if err != nil {
		return nil, errors.Join(err, file.Close(), os.Remove(name))
	}
	return file, nil
}

// syncFolder makes the name of a new file durable: bbolt syncs the file alone,
// and a crash of the machine could lose it with all that it holds.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
