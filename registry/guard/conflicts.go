package guard

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"permalink-milter/registry/statefile"
)

// conflictsFile is in the directory of the journal. It has one JSON object per
// line.
const conflictsFile = "conflicts.jsonl"

// maxConflictsBytes bounds the conflicts file: some 50,000 conflicts.
const maxConflictsBytes = 16 << 20

var errConflictsFull = errors.New("the conflicts file is full: settle the conflicts in it, then remove it while permalink-milter is stopped")

// A Conflict is a message that was stamped while the registry did not answer
// with a token that another message holds.
type Conflict struct {
	List       string    `json:"list"`
	Stamped    string    `json:"stamped"`            // the token in the message
	Assigned   string    `json:"assigned,omitempty"` // the token that the registry gave it, if any
	Identity   string    `json:"identity"`           // of the message, 32 hexadecimal digits
	Holder     string    `json:"holder,omitempty"`   // identity that holds the stamped token, if any
	Error      string    `json:"error,omitempty"`    // why none was assigned
	Journalled time.Time `json:"journalled"`
	Replayed   time.Time `json:"replayed"`
}

// Conflicts yields the conflicts in a directory, oldest first. It may be called
// while a guard uses the directory. It stops after the first error.
func Conflicts(dir string) iter.Seq2[Conflict, error] {
	return func(yield func(Conflict, error) bool) {
		f, err := statefile.Open(filepath.Join(dir, conflictsFile), os.O_RDONLY, 0)
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			yield(Conflict{}, fmt.Errorf("read conflicts: %w", err))
			return
		}
		defer f.Close()
		lines := bufio.NewReader(io.LimitReader(f, maxConflictsBytes))
		for n := 1; ; n++ {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return // an unfinished line is being written
			}
			var c Conflict
			if err := json.Unmarshal(line, &c); err != nil {
				yield(Conflict{}, fmt.Errorf("%s, line %d: %w", f.Name(), n, err))
				return
			}
			if !yield(c, nil) {
				return
			}
		}
	}
}

// A conflictLog appends to the conflicts file.
type conflictLog struct {
	file  *os.File
	bytes int64
	known map[conflictKey]bool
}

// A conflictKey identifies a conflict: a replay that starts over after a crash
// meets the same ones again.
type conflictKey struct{ list, stamped, assigned, identity string }

func (c Conflict) key() conflictKey { return conflictKey{c.List, c.Stamped, c.Assigned, c.Identity} }

// openConflicts opens the file and cuts off a line that a crash left half
// written.
func openConflicts(dir string) (*conflictLog, error) {
	f, err := statefile.Open(filepath.Join(dir, conflictsFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open conflicts: %w", err)
	}
	l := &conflictLog{file: f, known: make(map[conflictKey]bool)}
	if err := errors.Join(l.cut(), l.load(dir), statefile.SyncFolder(dir)); err != nil {
		f.Close()
		return nil, fmt.Errorf("open conflicts: %w", err)
	}
	return l, nil
}

func (l *conflictLog) cut() error {
	data, err := io.ReadAll(l.file)
	if err != nil {
		return err
	}
	l.bytes = int64(bytes.LastIndexByte(data, '\n') + 1)
	return l.file.Truncate(l.bytes)
}

func (l *conflictLog) load(dir string) error {
	for c, err := range Conflicts(dir) {
		if err != nil {
			return err
		}
		l.known[c.key()] = true
	}
	return nil
}

// add appends a conflict and returns when it is on disk. It does not add one
// that is there already; added is then false.
func (l *conflictLog) add(c Conflict) (added bool, err error) {
	if l.known[c.key()] {
		return false, nil
	}
	line, err := json.Marshal(c)
	if err != nil {
		return false, err
	}
	line = append(line, '\n')
	if l.bytes+int64(len(line)) > maxConflictsBytes {
		return false, errConflictsFull
	}
	_, err = l.file.Write(line)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		return false, fmt.Errorf("write conflicts: %w", errors.Join(err, l.file.Truncate(l.bytes)))
	}
	l.bytes += int64(len(line))
	l.known[c.key()] = true
	return true, nil
}
