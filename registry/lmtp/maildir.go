package lmtp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// sentSuffix marks, in pending, a message that is delivered unless it is
// still in pending itself.
const sentSuffix = ".sent"

// pendingAge is the age at which a mark goes, because the message is not sent
// again: several times the five days that MTAs keep mail in their queues.
const pendingAge = 30 * 24 * time.Hour

// maxPending bounds the names of pending that are looked at. There are as many
// marks as connections, and what crashes left; but the reader of the Maildir may
// put there what it likes.
const maxPending = 10_000

// A maildir delivers into one Maildir. The steps for a message called NAME:
//
//  1. tmp/NAME is written; it does no harm if it is left behind
//  2. it is moved to pending/NAME, and is on disk there: whole, not delivered
//  3. pending/NAME.sent, a second name of the same file, is made
//  4. pending/NAME is moved to new/NAME: delivered, for pending/NAME.sent is
//     there and pending/NAME is not
//  5. once the registry has confirmed, and the client has its reply,
//     pending/NAME.sent goes
//
// Each of the steps 2 to 4 is on disk before the next begins. Before step 3,
// what is in pending does not count, so its content and its name may reach the
// disk in any order, and tmp need not. Step 4 is one rename, so a message is
// delivered or it is not. Pending alone shows which, whatever the reader of the
// Maildir did.
//
// The folders are opened once, and links in the Maildir are not followed: its
// reader may be another user, who must not choose where the server writes.
type maildir struct {
	path              string
	opening           sync.Mutex
	opened            bool
	tmp, pending, new folder // fixed once opened
	// before is called before each step, for tests; it may be nil.
	before func(step string) error
}

func (m *maildir) down() *smtp.SMTPError { return unavailable("Maildir") }

func (m *maildir) spool() (*os.File, error) {
	if err := m.prepare(); err != nil {
		return nil, err
	}
	return m.tmp.unnamed("lmtp-" + rand.Text())
}

func (m *maildir) prepare() error {
	m.opening.Lock()
	defer m.opening.Unlock()
	if m.opened {
		return nil
	}
	if err := m.open(); err != nil {
		m.close()
		return fmt.Errorf("maildir: %w", err)
	}
	m.opened = true
	m.sweep(time.Now().Add(-pendingAge))
	return nil
}

// open opens the folders. The path of the Maildir may have links in it: it is
// the operator's.
func (m *maildir) open() error {
	if err := os.MkdirAll(m.path, 0o750); err != nil {
		return err
	}
	root, err := os.OpenRoot(m.path)
	if err != nil {
		return err
	}
	defer root.Close()
	if m.tmp, err = openFolder(root, "tmp"); err != nil {
		return err
	}
	if m.pending, err = openFolder(root, "pending"); err != nil {
		return err
	}
	if m.new, err = openFolder(root, "new"); err != nil {
		return err
	}
	// Cur is the reader's. It only has to exist.
	if err := root.Mkdir("cur", 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func (m *maildir) close() {
	for _, f := range []folder{m.tmp, m.pending, m.new} {
		f.close()
	}
}

// sweep removes from pending what was last changed before a time: marks, and
// messages whose client got no reply. What cannot be removed does no harm.
func (m *maildir) sweep(before time.Time) {
	names, _ := m.pending.names(maxPending)
	for _, name := range names {
		if changed, err := m.pending.changed(name); err == nil && changed.Before(before) {
			_ = m.pending.Remove(name)
		}
	}
}

// A pendingFile is a message in pending.
type pendingFile struct {
	*maildir
	name string
	file *os.File // the same file; nil if the message was delivered before
}

// stage takes steps 1 to 3.
func (m *maildir) stage(p parcel) (staged, error) {
	if err := m.prepare(); err != nil {
		return nil, err
	}
	f := &pendingFile{maildir: m, name: p.name()}
	delivered, err := m.delivered(f.name)
	if err != nil || delivered {
		return f, err
	}
	err = m.take("write", func() error { return f.write(p.final()) })
	if err == nil {
		err = m.take("stage", f.moveToPending)
	}
	if err == nil {
		err = m.take("mark", f.mark)
	}
	if err != nil {
		f.file.Close()
		return nil, err
	}
	return f, nil
}

// deliver takes step 4.
func (f *pendingFile) deliver(context.Context) error {
	if f.file != nil {
		defer f.file.Close() // its content is on disk
		if err := f.take("deliver", f.hand); err != nil {
			return err
		}
	}
	return f.step("confirm")
}

// discard undoes the steps. While the mark may be on disk, so must the
// message be, or it would count as delivered.
func (f *pendingFile) discard() {
	if f.file == nil {
		return
	}
	defer f.file.Close()
	if errors.Join(f.pending.Remove(f.name+sentSuffix), f.pending.sync()) == nil {
		_ = f.pending.Remove(f.name) // sweep removes it otherwise
	}
}

// take takes a step.
func (m *maildir) take(name string, do func() error) error {
	err := m.step(name)
	if err == nil {
		err = do()
	}
	if err != nil {
		return fmt.Errorf("maildir: %s: %w", name, err)
	}
	return nil
}

func (m *maildir) step(name string) error {
	if m.before == nil {
		return nil
	}
	return m.before(name)
}

func (m *maildir) delivered(name string) (bool, error) {
	marked, err := m.pending.has(name + sentSuffix)
	if err != nil || !marked {
		return false, err
	}
	waiting, err := m.pending.has(name)
	return !waiting, err
}

// write writes a message to tmp with local line ends. It need not be on disk yet.
func (f *pendingFile) write(content io.Reader) (err error) {
	if f.file, err = f.tmp.create(f.name); err != nil {
		return err
	}
	lines := &localLines{w: f.file}
	_, err = io.Copy(lines, content)
	return errors.Join(err, lines.flush())
}

func (f *pendingFile) moveToPending() error {
	if err := move(f.file, f.name, f.tmp, f.pending); err != nil {
		return err
	}
	return both(f.file.Sync, f.pending.sync)
}

// mark makes the mark, if it is not there. It is another name of the message: a
// file of its own for each message would cost the file system an inode, now and
// when it goes.
func (f *pendingFile) mark() error {
	err := f.pending.Link(f.name, f.name+sentSuffix)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return f.pending.sync()
}

// hand gives the message to the reader.
func (f *pendingFile) hand() error {
	if err := move(f.file, f.name, f.pending, f.new); err != nil {
		return err
	}
	return both(f.new.sync, f.pending.sync)
}

// settle removes the mark. One that stays does no harm until sweep.
func (m *maildir) settle(p parcel) {
	if m.step("settle") == nil && m.prepare() == nil {
		_ = m.pending.Remove(p.name() + sentSuffix)
	}
}

// unsettled looks for the mark. Where there are more names than it looks at, the
// message itself has to decide.
func (m *maildir) unsettled(list, token string) bool {
	if m.prepare() != nil {
		return false
	}
	// Without the folder there are no marks.
	names, _ := m.pending.names(maxPending)
	return len(names) == maxPending || slices.ContainsFunc(names, func(name string) bool {
		name, marked := strings.CutSuffix(name, sentSuffix)
		return marked && strings.HasPrefix(name, token+".") && strings.HasSuffix(name, listSuffix(list))
	})
}
