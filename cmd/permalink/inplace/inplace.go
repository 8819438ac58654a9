// Package inplace replaces files of messages, while mail programs may be
// using them and though their owner may be hostile: a system's administrator
// may run it on a user's mail.
//
// Each input's folder is opened once, as an os.Root. What is read, written and
// renamed lies within it, so that a folder that is swapped for a symbolic link
// leads nowhere else.
package inplace

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"permalink-milter/hashheader/mailbox"
)

// Errors of single files.
var (
	ErrSized = errors.New("its name states its size (Maildir++): stamp messages before they are delivered")
	ErrMoved = errors.New("it changed while it was stamped: run the command again")
	ErrLink  = errors.New("not a regular file: name the file that a link leads to")
)

// maxDepth is how many folders below an input are entered: to open a file in
// them takes a step for each.
const maxDepth = 100

var errDeep = fmt.Errorf("more than %d folders deep: name it to stamp what is in it", maxDepth)

// A Rewriter replaces files.
type Rewriter struct {
	// Edit reads the start of a message, and returns what to write in its
	// place. It leaves f behind what it read. Single is true where the file is
	// known to be one message.
	Edit func(f *os.File, single bool) (before, after []byte, err error)
	// Done is called with the outcome for each file. Its error ends the walk.
	Done func(file string, changed bool, err error) error
}

// Files replaces each file, and each file of a folder. It returns ctx's error
// or Done's.
func (w *Rewriter) Files(ctx context.Context, inputs []string) error {
	for _, input := range inputs {
		root, at, err := open(input)
		if err != nil {
			if err := w.Done(input, false, err); err != nil {
				return err
			}
			continue
		}
		err = w.walk(ctx, root, at, input)
		root.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// open opens the folder that an input is or lies in, and returns where in it
// the input is. For a file of a Maildir that is the Maildir, whose tmp takes
// the new file.
func open(input string) (root *os.Root, at string, err error) {
	dir, err := filepath.Abs(input)
	if err != nil {
		return nil, "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return nil, "", err
	}
	at = "."
	if !info.IsDir() {
		dir, at = filepath.Dir(dir), filepath.Base(dir)
	}
	if parent := filepath.Dir(dir); mailbox.IsMaildir(os.Lstat, parent) {
		dir, at = parent, path.Join(filepath.Base(dir), at)
	}
	if root, err = os.OpenRoot(dir); err != nil {
		return nil, "", err
	}
	// The name may lead elsewhere by now.
	if now, err := root.Lstat(at); err != nil || !os.SameFile(now, info) {
		root.Close()
		return nil, "", ErrMoved
	}
	return root, at, nil
}

// walk replaces the files at a place in root. Input is how the user named that
// place.
func (w *Rewriter) walk(ctx context.Context, root *os.Root, at, input string) error {
	return fs.WalkDir(root.FS(), at, func(name string, entry fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil && entry.IsDir() && strings.Count(name, "/") >= maxDepth:
			return cmp.Or(w.Done(filepath.Join(input, name), false, errDeep), fs.SkipDir)
		case err == nil && entry.IsDir():
			return skipUndelivered(root, name)
		case err == nil && name != at && !isMessageFile(root, name, entry):
			return nil
		}
		changed := false
		if err == nil {
			changed, err = w.replace(root, name)
		}
		rest, _ := filepath.Rel(at, name) // name lies under at
		return w.Done(filepath.Join(input, rest), changed, err)
	})
}

// skipUndelivered skips the tmp of a Maildir, where a delivery may be writing.
func skipUndelivered(root *os.Root, dir string) error {
	if path.Base(dir) == "tmp" && mailbox.IsMaildir(root.Lstat, path.Dir(dir)) {
		return fs.SkipDir
	}
	return nil
}

// isMessageFile reports whether a file may be a message. The indexes that mail
// programs keep beside a Maildir's folders are not.
func isMessageFile(root *os.Root, name string, entry fs.DirEntry) bool {
	return entry.Type().IsRegular() && !mailbox.IsMaildir(root.Lstat, path.Dir(name)) && !strings.HasPrefix(path.Base(name), ".")
}

// replace replaces one file. A reader sees the old message or the new one.
func (w *Rewriter) replace(root *os.Root, name string) (changed bool, err error) {
	if info, err := root.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return false, ErrLink
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would be waited for
	if err != nil {
		return false, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return false, ErrMoved
	}
	before, after, err := w.Edit(f, mailbox.IsMaildir(root.Lstat, path.Dir(path.Dir(name))))
	if err != nil || bytes.Equal(before, after) {
		return false, err
	}
	if base := path.Base(name); strings.Contains(base, ",S=") || strings.Contains(base, ",W=") {
		return false, ErrSized
	}
	return true, rewrite(root, name, f, after)
}

// rewrite replaces a file by start and what is left in f, the same file.
func rewrite(root *os.Root, name string, f *os.File, start []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	tempName := path.Join(tempDir(root, name), ".permalink-stamp-"+rand.Text())
	temp, err := root.OpenFile(tempName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer root.Remove(tempName) // gone after the rename
	defer temp.Close()
	err = write(temp, start, f, info.Size())
	if err = errors.Join(err, keepAttributes(temp, info), temp.Sync()); err != nil {
		return err
	}
	if err := root.Chtimes(tempName, info.ModTime(), info.ModTime()); err != nil {
		return err
	}
	written, err := temp.Stat()
	if err != nil {
		return err
	}
	now, err := root.Lstat(name)
	if err != nil || !os.SameFile(now, info) || now.Size() != info.Size() {
		return ErrMoved
	}
	if now, err := root.Lstat(tempName); err != nil || !os.SameFile(now, written) {
		return ErrMoved
	}
	if err := root.Rename(tempName, name); err != nil {
		return err
	}
	return syncDir(root, path.Dir(name))
}

// write writes start, and behind it what is left in f up to a size: f may grow for
// ever. Holes stay holes: a file that takes a few bytes of its owner's disk space
// may be as long as root's disk.
func write(to *os.File, start []byte, f *os.File, size int64) error {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err := to.Write(start); err != nil {
		return err
	}
	shift := int64(len(start)) - at
	for at < size {
		data, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) || err == nil && data >= size {
			break // a hole to the end
		}
		if err != nil {
			return err
		}
		if at, err = f.Seek(data, unix.SEEK_HOLE); err != nil {
			return err
		}
		at = min(at, size)
		if _, err := io.Copy(io.NewOffsetWriter(to, data+shift), io.NewSectionReader(f, data, at-data)); err != nil {
			return err
		}
	}
	return to.Truncate(size + shift)
}

// tempDir returns where a file's replacement is written: on the same file
// system, and in a Maildir where its readers do not look.
func tempDir(root *os.Root, name string) string {
	dir := path.Dir(name)
	if mailbox.IsMaildir(root.Lstat, path.Dir(dir)) {
		return path.Join(path.Dir(dir), "tmp")
	}
	return dir
}

// keepAttributes gives the new file the permissions of the old one, and where
// the system allows it the owner.
func keepAttributes(f *os.File, info os.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return f.Chmod(info.Mode().Perm())
}

// syncDir makes a rename survive a crash.
func syncDir(root *os.Root, dir string) error {
	d, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
