// Package statefile opens the files that the programs make for themselves, in a
// folder that may belong to another user: the daemon's state directory, of which
// root's tool writes files, or a user's mail, which root imports.
//
// The owner of such a folder must not choose, by a link or a pipe, what root
// reads or writes, and has to be able to use what root made. The path of the
// folder itself is the operator's, and so is a file that a configuration or a
// command line names for another purpose: links there are followed.
package statefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Open is os.OpenFile, with these differences. A file that root makes gets the
// owner and the group of its folder. None is made behind a link that leads to
// nothing. In another user's folder, root follows no link at all. A pipe is not
// waited for.
func Open(name string, flag int, mode os.FileMode) (*os.File, error) {
	flag |= syscall.O_NONBLOCK
	owner, foreign, err := ownerOf(filepath.Dir(name))
	if err != nil {
		return nil, err
	}
	if flag&os.O_CREATE != 0 {
		file, err := os.OpenFile(name, flag|os.O_EXCL, mode)
		if err == nil && foreign {
			err = file.Chown(int(owner.Uid), int(owner.Gid))
		}
		if err != nil && file != nil {
			return nil, errors.Join(err, file.Close(), os.Remove(name))
		}
		if flag&os.O_EXCL != 0 || !errors.Is(err, fs.ErrExist) {
			return file, err
		}
	}
	if foreign {
		flag |= syscall.O_NOFOLLOW
	}
	file, err := os.OpenFile(name, flag&^os.O_CREATE, mode)
	if errors.Is(err, syscall.ELOOP) {
		err = fmt.Errorf("%w: root follows no link in the folder of another user; name the file that it leads to", err)
	}
	return file, err
}

// MkdirAll is os.MkdirAll. Where root would use the folder through a link in
// another user's folder, it returns an error.
func MkdirAll(folder string, mode os.FileMode) error {
	if err := os.MkdirAll(folder, mode); err != nil {
		return err
	}
	_, foreign, err := ownerOf(filepath.Dir(folder))
	if err != nil || !foreign {
		return err
	}
	f, err := os.OpenFile(folder, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return fmt.Errorf("%w: root uses no link in the folder of another user", err)
	}
	return f.Close()
}

// GiveAway gives a file that root made with os.CreateTemp the owner and the group
// of its folder.
func GiveAway(f *os.File) error {
	owner, foreign, err := ownerOf(filepath.Dir(f.Name()))
	if err != nil || !foreign {
		return err
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}

// ownerOf returns a folder's owner, and whether this process is root and it is
// another user or group.
func ownerOf(folder string) (owner *syscall.Stat_t, foreign bool, err error) {
	info, err := os.Stat(folder)
	if err != nil {
		return nil, false, err
	}
	owner = info.Sys().(*syscall.Stat_t)
	return owner, os.Geteuid() == 0 && (owner.Uid != 0 || owner.Gid != 0), nil
}

// SyncFolder makes the names of a folder's new files durable. Without it, a crash
// of the machine could lose a file whose content was synced.
func SyncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
