package lmtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-smtp"
)

// sentSuffix marks, in pending, a message that is delivered unless it is
// still in pending itself.
const sentSuffix = ".sent"

// pendingAge is when nobody will send a message again, so that its mark can
// go: several times the five days that MTAs keep mail in their queues.
const pendingAge = 30 * 24 * time.Hour

// A maildir delivers into one folder. The steps for a message called NAME:
//
//  1. tmp/NAME is written; no matter if it is left behind
//  2. it is moved to pending/NAME: whole, not delivered
//  3. pending/NAME.sent is made
//  4. pending/NAME is moved to new/NAME: delivered, for pending/NAME.sent is
//     there and pending/NAME is not
//  5. once the registry has confirmed, and the client has its reply,
//     pending/NAME.sent goes
//
// Step 4 is one rename, so a message is delivered or it is not. That it was
// can be told from pending alone, whatever the reader of the Maildir did.
type maildir struct {
	path string
	// before is called before each step, for tests; it may be nil.
	before func(step string) error
}

func (m *maildir) file(parts ...string) string {
	return filepath.Join(append([]string{m.path}, parts...)...)
}

func (m *maildir) spoolDir() string      { return m.file("tmp") }
func (m *maildir) down() *smtp.SMTPError { return unavailable("Maildir") }

func (m *maildir) prepare() error {
	for _, dir := range []string{"tmp", "new", "cur", "pending"} {
		if err := os.MkdirAll(m.file(dir), 0o750); err != nil {
			return fmt.Errorf("maildir: %w", err)
		}
	}
	return m.sweep(time.Now().Add(-pendingAge))
}

// sweep removes what is older in pending: marks, and messages whose client
// got no reply.
func (m *maildir) sweep(before time.Time) error {
	entries, err := os.ReadDir(m.file("pending"))
	if err != nil {
		return fmt.Errorf("maildir: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && info.ModTime().Before(before) {
			err = os.Remove(m.file("pending", entry.Name()))
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("maildir: %w", err)
		}
	}
	return nil
}

func (m *maildir) deliver(_ context.Context, p parcel) error {
	name := p.name()
	delivered, err := m.delivered(name)
	if err != nil || delivered {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"write", func() error { return writeFile(m.file("tmp", name), p.final()) }},
		{"stage", func() error { return m.rename(name, "tmp", "pending") }},
		{"mark", func() error { return m.mark(name) }},
		{"deliver", func() error { return m.rename(name, "pending", "new") }},
	} {
		err := m.step(step.name)
		if err == nil {
			err = step.do()
		}
		if err != nil {
			return fmt.Errorf("maildir: %s: %w", step.name, err)
		}
	}
	return m.step("confirm")
}

func (m *maildir) step(name string) error {
	if m.before == nil {
		return nil
	}
	return m.before(name)
}

func (m *maildir) delivered(name string) (bool, error) {
	marked, err := exists(m.file("pending", name+sentSuffix))
	if err != nil || !marked {
		return false, err
	}
	waiting, err := exists(m.file("pending", name))
	return !waiting, err
}

func exists(path string) (bool, error) {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// writeFile writes a message with local line ends, and returns when it is on
// disk. It follows no link: the Maildir's reader may be another user, who must
// not choose what the server overwrites.
func writeFile(path string, content io.Reader) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|syscall.O_NOFOLLOW, 0o640)
	if err != nil {
		return err
	}
	lines := &localLines{w: f}
	_, err = io.Copy(lines, content)
	return errors.Join(err, lines.flush(), f.Sync(), f.Close())
}

// rename moves a message between two folders, and returns when that is on
// disk.
func (m *maildir) rename(name, from, to string) error {
	if err := os.Rename(m.file(from, name), m.file(to, name)); err != nil {
		return err
	}
	return errors.Join(syncDir(m.file(to)), syncDir(m.file(from)))
}

func (m *maildir) mark(name string) error {
	f, err := os.OpenFile(m.file("pending", name+sentSuffix), os.O_WRONLY|os.O_CREATE|syscall.O_NOFOLLOW, 0o640)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDir(m.file("pending")))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// settle removes the mark. One that stays does no harm until sweep.
func (m *maildir) settle(p parcel) {
	if m.step("settle") == nil {
		_ = os.Remove(m.file("pending", p.name()+sentSuffix))
	}
}

func (m *maildir) unsettled(list, token string) bool {
	// Without the folder there are no marks.
	entries, _ := os.ReadDir(m.file("pending"))
	return slices.ContainsFunc(entries, func(entry fs.DirEntry) bool {
		name, marked := strings.CutSuffix(entry.Name(), sentSuffix)
		return marked && strings.HasPrefix(name, token+".") && strings.HasSuffix(name, listSuffix(list))
	})
}
