package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"permalink-milter/cmd/permalink/mailbox"
)

// An inPlaceTally counts files by what became of them.
type inPlaceTally struct{ stamped, unchanged, failed int }

// inPlace stamps each file, and each file of a folder. One that cannot be
// stamped is told of and does not keep the others back; temporary trouble ends
// it, as it would hit all.
func (s *stamper) inPlace(ctx context.Context, inputs []string) error {
	var t inPlaceTally
	for _, input := range inputs {
		err := filepath.WalkDir(input, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return &exitError{exitTemporary, errors.New("interrupted; run it again to go on")}
			case err == nil && entry.IsDir():
				return skipUndelivered(file)
			case err == nil && file != input && !isMessageFile(file, entry):
				return nil
			}
			return s.count(&t, file, err)
		})
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "%d stamped, %d right already, %d failed\n", t.stamped, t.unchanged, t.failed)
	if t.failed > 0 {
		return &exitError{exitFailed, nil}
	}
	return nil
}

// count stamps a file, unless walking to it went wrong. Its error is one that
// ends all.
func (s *stamper) count(t *inPlaceTally, file string, err error) error {
	changed := false
	if err == nil {
		changed, err = s.replace(file)
	}
	var exit *exitError
	switch {
	case errors.As(err, &exit):
		return failure(file, err)
	case err != nil:
		fmt.Fprintf(s.err, "permalink stamp: %s: %v\n", file, reason(err))
		t.failed++
	case changed:
		t.stamped++
	default:
		t.unchanged++
	}
	return nil
}

// skipUndelivered passes over the tmp of a Maildir: a delivery may be writing
// there.
func skipUndelivered(dir string) error {
	if filepath.Base(dir) == "tmp" && mailbox.IsMaildir(filepath.Dir(dir)) {
		return filepath.SkipDir
	}
	return nil
}

// isMessageFile tells a message from the indexes that mail programs keep
// beside a Maildir's folders.
func isMessageFile(file string, entry fs.DirEntry) bool {
	return entry.Type().IsRegular() && !mailbox.IsMaildir(filepath.Dir(file)) && !strings.HasPrefix(filepath.Base(file), ".")
}

// reason takes the file's name off an error; the line tells it.
func reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

var (
	errSized = errors.New("its name states its size (Maildir++): stamp messages before they are delivered")
	errMoved = errors.New("it changed while it was stamped: run the command again")
	errLink  = errors.New("not a regular file: name the file that a link leads to")
)

// replace stamps one file. A reader sees the old message or the new one.
func (s *stamper) replace(file string) (changed bool, err error) {
	if info, err := os.Lstat(file); err == nil && !info.Mode().IsRegular() {
		return false, errLink
	}
	format := mailbox.Auto
	if mailbox.IsMaildir(filepath.Dir(filepath.Dir(file))) {
		format = mailbox.Single
	}
	f, err := openMessage(file, format)
	if err != nil {
		return false, err
	}
	defer f.Close()
	before, after, err := s.stamp(f)
	if err != nil || bytes.Equal(before, after) {
		return false, err
	}
	if name := filepath.Base(file); strings.Contains(name, ",S=") || strings.Contains(name, ",W=") {
		return false, errSized
	}
	return true, rewrite(file, f, after)
}

// rewrite replaces a file by start and what is left in f, the same file.
func rewrite(file string, f *os.File, start []byte) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(tempDir(file), ".permalink-stamp-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone after the rename
	_, err = io.Copy(temp, io.MultiReader(bytes.NewReader(start), f))
	err = errors.Join(err, keepAttributes(temp, info), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Chtimes(temp.Name(), info.ModTime(), info.ModTime())
	}
	if err != nil {
		return err
	}
	if now, err := os.Lstat(file); err != nil || !os.SameFile(now, info) || now.Size() != info.Size() {
		return errMoved
	}
	if err := os.Rename(temp.Name(), file); err != nil {
		return err
	}
	return syncDir(filepath.Dir(file))
}

// tempDir is where a file's replacement is written: on the same file system,
// and in a Maildir where its readers do not look.
func tempDir(file string) string {
	dir := filepath.Dir(file)
	if mailbox.IsMaildir(filepath.Dir(dir)) {
		return filepath.Join(filepath.Dir(dir), "tmp")
	}
	return dir
}

// keepAttributes gives the new file the mode of the old one, and where the
// system allows it the owner.
func keepAttributes(f *os.File, info os.FileInfo) error {
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return f.Chmod(info.Mode())
}

// syncDir makes a rename survive a crash.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
