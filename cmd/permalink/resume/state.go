package resume

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry/statefile"
)

// A state is what the file holds.
type state struct {
	Settings string          `json:"settings"` // a digest
	Last     *mark           `json:"last,omitempty"`
	Mboxes   map[string]mbox `json:"mboxes"` // by path
	// Done has the other files, by their digest, with their numbers of messages.
	Done map[string]int `json:"done"`
}

func (s *state) forget() {
	*s = state{Settings: s.Settings, Mboxes: make(map[string]mbox), Done: make(map[string]int)}
}

// An mbox is how far an mbox was imported.
type mbox struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Size   int64  `json:"size"` // when it was opened
	Tail   string `json:"tail"` // digest of what stands before that
	// The last message that was imported.
	Offset        int64 `json:"offset"`
	Index         int   `json:"index"`
	ContentLength bool  `json:"content_length,omitempty"`
	Whole         bool  `json:"whole,omitempty"` // all of Size was imported
}

// Load reads the state in a file, which need not exist. A state of other settings
// is not used. Where the file cannot be read, the Memory is empty, and the error
// says why.
func Load(file string, settings ...any) (*Memory, error) {
	m := &Memory{file: file, open: make(map[string]*source)}
	of, err := json.Marshal(settings)
	if err != nil {
		return nil, err
	}
	err = m.state.read(file)
	if m.state.Settings != digest(string(of)) || err != nil || m.state.Mboxes == nil || m.state.Done == nil {
		m.state.Settings = digest(string(of))
		m.state.forget()
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return m, err
}

// read reads what Save wrote, and nothing behind what is no JSON: the owner of
// the folder may be hostile.
func (s *state) read(file string) error {
	f, err := statefile.Open(file, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewDecoder(f).Decode(s)
}

// Save replaces the file in one step. What a crash loses is read again. A file
// that root makes belongs to the owner of its folder, who imports the next night.
func (m *Memory) Save() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, err := json.Marshal(m.state)
	if err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(m.file), ".permalink-import-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name()) // gone after the rename
	defer temp.Close()
	if err := statefile.GiveAway(temp); err != nil {
		return err
	}
	if _, err := temp.Write(data); err != nil {
		return err
	}
	if err := temp.Sync(); err != nil {
		return err
	}
	return os.Rename(temp.Name(), m.file)
}

// tailSize is how much of an mbox's end must be the same for it to be read on.
const tailSize = 64 << 10

// look returns what tells an open file from other ones: as an mbox, unless it is
// compressed, and as a file that is read whole.
func look(path string, f *os.File) (*mbox, string, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, "", err
	}
	id, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, "", errors.ErrUnsupported
	}
	key := digest(path, fmt.Sprint(id.Dev, id.Ino, info.Size(), info.ModTime().UnixNano()))
	head := make([]byte, min(mailbox.KindSize, info.Size()))
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, "", err
	}
	if _, err := mailbox.Kind(head); errors.Is(err, mailbox.ErrCompressed) {
		return nil, key, nil
	}
	m := &mbox{Device: uint64(id.Dev), Inode: id.Ino, Size: info.Size()}
	m.Tail, err = tail(f, m.Size)
	return m, key, err
}

// tail returns the digest of what stands before an offset.
func tail(f *os.File, end int64) (string, error) {
	data := make([]byte, min(tailSize, end))
	_, err := f.ReadAt(data, end-int64(len(data)))
	return digest(string(data)), err
}

// continues reports whether an mbox is as it was, or has grown.
func (m mbox) continues(now *mbox, f *os.File) bool {
	if m.Device != now.Device || m.Inode != now.Inode {
		return false
	}
	before, err := tail(f, m.Size) // fails where it is shorter now
	return err == nil && before == m.Tail
}

// digest returns a short digest of texts that hold no NUL, or of one.
func digest(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
