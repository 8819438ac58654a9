// Package resume remembers what imports have read of mailboxes, so that the next
// one reads what is new.
//
// It errs on the side of reading again, which changes nothing. A mailbox is read
// on where it is the same file, is no shorter, and has the same bytes before its
// former end; a Maildir's message is known by its unique name, any other file by
// its device, inode, size and time. All is read again where the registry does not
// hold what was entered last, and where the import's settings are others.
package resume

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"permalink-milter/cmd/permalink/backfill"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry"
)

// A Memory is what is remembered of the imports of one list. It is a
// mailbox.Memory.
type Memory struct {
	file  string
	mu    sync.Mutex // one goroutine reads, another one imports
	state state
	open  map[string]*source // what is being read, by its name
	past  int
}

// A source is a file that is being read.
type source struct {
	key    string // of a file that is read whole or not at all
	mbox   *mbox  // what to remember of it as an mbox; nil: it is compressed
	path   string
	count  int // messages that were imported
	failed bool
}

// Message notes that a message was imported, or why not. It is called with the
// messages in their order. Behind one that failed, nothing of a file counts.
func (m *Memory) Message(msg *backfill.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if msg.Err == nil {
		m.state.mark(msg)
	}
	s := m.open[msg.Source]
	switch {
	case s == nil:
	case msg.Err != nil:
		s.failed = true
	case s.failed:
	default:
		s.count++
		m.advance(s, msg)
	}
	if msg.Index == 0 || msg.Format == mailbox.Single {
		delete(m.open, msg.Source)
	}
}

// advance notes the last message of a file that was imported. What was written to
// an mbox after it was opened is read the next time.
func (m *Memory) advance(s *source, msg *backfill.Message) {
	switch {
	case msg.Format == mailbox.Single:
		m.state.Done[s.key] = 1
	case s.mbox != nil && msg.Start < s.mbox.Size:
		s.mbox.Offset, s.mbox.Index, s.mbox.ContentLength = msg.Start, msg.Index, msg.Format == mailbox.MboxCL
		m.state.Mboxes[s.path] = *s.mbox
	}
}

// End notes that all was read.
func (m *Memory) End() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.open {
		switch {
		case s.failed || s.count == 0:
		case s.mbox == nil:
			m.state.Done[s.key] = s.count
		default:
			s.mbox.Whole = true
			m.state.Mboxes[s.path] = *s.mbox
		}
	}
}

// Past returns how many messages were not read, because an earlier import had
// read them.
func (m *Memory) Past() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.past
}

// Delivered reports whether a message of a Maildir was imported before. Its flags
// do not count, nor does whether it is in new or cur.
func (m *Memory) Delivered(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	path, err := filepath.Abs(name)
	if err != nil {
		return false
	}
	key := digest(filepath.Dir(filepath.Dir(path)), mailbox.UniqueName(filepath.Base(path)))
	if n, ok := m.state.Done[key]; ok {
		m.past += n
		return true
	}
	m.begin(name, &source{key: key})
	return false
}

// Resume returns where an import goes on in a file.
func (m *Memory) Resume(name string, f *os.File) mailbox.Point {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.open[name]; s != nil && s.path == "" { // a Maildir's
		return mailbox.Point{}
	}
	path, err := filepath.Abs(name)
	if err != nil {
		return mailbox.Point{}
	}
	now, key, err := look(path, f)
	if err != nil {
		return mailbox.Point{} // it is read, but not remembered
	}
	if n, ok := m.state.Done[key]; ok {
		m.past += n
		return mailbox.Point{Done: true}
	}
	s := &source{key: key, mbox: now, path: path}
	if now == nil {
		m.begin(name, s)
		return mailbox.Point{}
	}
	before, ok := m.state.Mboxes[path]
	if !ok || !before.continues(now, f) {
		delete(m.state.Mboxes, path)
		m.begin(name, s)
		return mailbox.Point{}
	}
	if before.Whole && before.Size == now.Size {
		m.past += before.Index
		return mailbox.Point{Done: true}
	}
	m.past += before.Index - 1
	m.begin(name, s)
	return mailbox.Point{Offset: before.Offset, Index: before.Index, ContentLength: before.ContentLength}
}

// begin notes that a file is being read. One that is read twice in one import is
// not remembered.
func (m *Memory) begin(name string, s *source) {
	if m.open[name] != nil {
		s.failed = true
	}
	m.open[name] = s
}

// Forget forgets everything.
func (m *Memory) Forget() { m.state.forget() }

// Check forgets everything where the registry does not hold what was entered
// last: it is another one, or was restored from a backup. It reports whether it
// did.
func (m *Memory) Check(ctx context.Context, reg registry.Registry) (forgot bool, err error) {
	last := m.state.Last
	if last == nil {
		return false, nil
	}
	r, err := reg.Lookup(ctx, last.List, last.Token)
	switch {
	case err == nil && r.State == registry.Archived && r.Identity.String() == last.Identity:
		return false, nil
	case err != nil && !errors.Is(err, registry.ErrNotFound):
		return false, err
	}
	m.state.forget()
	return true, nil
}

// A mark is a message that the registry holds.
type mark struct {
	List     string `json:"list"`
	Token    string `json:"token"`
	Identity string `json:"identity"`
}

// mark notes the last message that was entered, or the first that was held.
func (s *state) mark(msg *backfill.Message) {
	if len(msg.Stamps) == 0 || !msg.Changed && s.Last != nil {
		return
	}
	r := msg.Stamps[len(msg.Stamps)-1].Result
	if r.Outcome == registry.Shared { // another message may hold it unconfirmed
		return
	}
	s.Last = &mark{List: r.List, Token: r.Token(), Identity: r.Identity.String()}
}
