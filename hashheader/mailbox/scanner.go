package mailbox

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// A scanner reads inputs, and sends the messages that it finds in batches.
type scanner struct {
	Options
	yield   func(*batch) bool
	free    chan *batch
	b       *batch
	stopped bool
	tree    string // the real name of the folder that is an input, "" outside of one
}

// scan reads all inputs in their order.
func (s *scanner) scan(inputs []string) {
	s.b = newBatch(s.free)
	for _, name := range inputs {
		s.input(name)
	}
	s.flush()
}

// input scans a file, a folder, or standard input.
func (s *scanner) input(name string) {
	if s.stopped {
		return
	}
	if name == "-" {
		s.stream(name, s.Stdin, nil, s.Format)
		return
	}
	info, err := os.Stat(name)
	switch {
	case err != nil:
		s.fail(name, 0, Reason(err))
	case info.IsDir():
		s.tree, _ = filepath.EvalSymlinks(name) // it was there a moment ago
		s.folder(name)
		s.tree = ""
	default:
		s.file(name, s.Format)
	}
}

// folder scans a Maildir, or each file of a folder in the order of names.
func (s *scanner) folder(dir string) {
	names, err := readNames(dir)
	if err != nil {
		s.fail(dir, 0, Reason(err))
		return
	}
	maildir := IsMaildir(os.Lstat, dir)
	for _, name := range names {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		switch {
		case s.stopped:
			return
		case err != nil:
			s.fail(path, 0, Reason(err))
		case name == ".mh_sequences": // of MH
		case maildir && name == "cur":
			s.maildir(dir)
		case maildir && (name == "new" || name == "tmp"): // read with cur; not delivered yet
		case maildir && !info.IsDir() && !isDir(path) && !isMail(path): // an index of a mail program
		case info.Mode()&os.ModeSymlink != 0 && isDir(path):
			s.fail(path, 0, ErrFolder) // it may lead in a circle
		case info.IsDir():
			s.folder(path)
		default:
			s.entry(path, s.Format)
		}
	}
}

// maildir scans the messages of a Maildir, each of which is a file. It lists new
// before cur, so that it misses none that a mail program moves from new to cur.
func (s *scanner) maildir(dir string) {
	var names [2][]string
	folders := [2]string{filepath.Join(dir, "cur"), filepath.Join(dir, "new")}
	for i := range slices.Backward(folders[:]) {
		var err error
		if names[i], err = readNames(folders[i]); err != nil {
			s.fail(folders[i], 0, Reason(err))
		}
	}
	for i, folder := range folders {
		for _, name := range names[i] {
			if s.stopped {
				return
			}
			if !strings.HasPrefix(name, ".") {
				s.delivered(folder, name, names[0])
			}
		}
	}
}

// delivered scans a message of a Maildir. If a mail program has renamed it since
// the folders were listed, it finds the new name. Read has the names that were
// listed in cur: they are scanned anyway.
func (s *scanner) delivered(folder, name string, read []string) {
	path := filepath.Join(folder, name)
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		cur := filepath.Join(filepath.Dir(folder), "cur")
		now, _ := readNames(cur)
		same := func(other string) bool { return UniqueName(other) == UniqueName(name) }
		i := slices.IndexFunc(now, same)
		switch {
		case i >= 0 && filepath.Base(folder) == "new" && slices.ContainsFunc(read, same):
			return
		case i >= 0:
			path = filepath.Join(cur, now[i])
		}
	}
	if s.Memory == nil || !s.Memory.Delivered(path) {
		s.entry(path, Single)
	}
}

// UniqueName returns the part of a file's name in a Maildir that stays the same
// when the message's flags change.
func UniqueName(name string) string {
	name, _, _ = strings.Cut(name, ":")
	return name
}

// IsMaildir reports whether a folder is a Maildir. Lstat is os.Lstat or that of
// an os.Root.
func IsMaildir(lstat func(name string) (fs.FileInfo, error), dir string) bool {
	for _, name := range []string{"cur", "new"} {
		if info, err := lstat(filepath.Join(dir, name)); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// isMail reports whether a file begins with a header section that only mail has,
// or may do so.
func isMail(path string) bool {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return true // scanning it says why
	}
	defer f.Close()
	head, _, err := peek(f)
	return err == nil && judgeSection(head, true) == yes
}

// isDir reports whether path is a folder or a symbolic link to one.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// readNames returns the sorted names in a folder. It does not read more of each
// file, because there may be millions of them.
func readNames(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// entry scans a file of a folder. It passes over pipes and devices, which hold no
// mail and may block for ever, and does not follow links out of the input.
func (s *scanner) entry(path string, format Format) {
	info, err := os.Stat(path)
	switch {
	case err == nil && !info.IsDir() && !info.Mode().IsRegular():
	case s.leadsOut(path):
		s.fail(path, 0, ErrOutside)
	default:
		s.file(path, format)
	}
}

// leadsOut reports whether path is a symbolic link out of the folder that is the
// input.
func (s *scanner) leadsOut(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&os.ModeSymlink == 0 {
		return false
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false // opening it reports why
	}
	inside, err := filepath.Rel(s.tree, real)
	return err != nil || !filepath.IsLocal(inside)
}

// file scans one file.
func (s *scanner) file(name string, format Format) {
	f, err := os.Open(name)
	if err != nil {
		s.fail(name, 0, Reason(err))
		return
	}
	defer f.Close()
	var at io.ReaderAt
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
		at = f // a pipe's bytes can be read only once
		if s.resume(name, f) {
			return
		}
	}
	s.stream(name, f, at, format)
}

// stream scans the bytes of r, which may be compressed. If at is not nil, it reads
// the same bytes.
func (s *scanner) stream(name string, r io.Reader, at io.ReaderAt, format Format) {
	counted := &counter{r: r, progress: s.Progress}
	content, compressed, err := decompress(counted)
	if err != nil {
		s.fail(name, 0, Reason(err))
		return
	}
	defer content.Close()
	if compressed {
		at = nil
	}
	position := &counter{r: content}
	if err := s.content(name, position, at, format); err != nil {
		s.fail(name, position.n, Reason(err))
	}
}

// content scans bytes that are not compressed. It returns an error only for r.
func (s *scanner) content(name string, r io.Reader, at io.ReaderAt, format Format) error {
	head, r, err := peek(r)
	if err != nil {
		return err
	}
	known := format != Auto
	if !known {
		format = detect(head)
	}
	switch format {
	case Single:
		sum := Summary{Source: name, Format: Single, Messages: 1}
		err := s.single(name, r)
		// Only the end shows whether compressed data is truncated, and only the body
		// whether a large file is several messages.
		if err == nil && (at == nil || !known && isLarge(at)) {
			err = s.body(&sum, r)
		}
		s.ended(sum)
		return err
	case MboxCL, MboxCL2:
		return s.mbox(name, r, at, lengthsTrusted, Point{})
	case MboxO, MboxRD:
		return s.mbox(name, r, at, lengthsIgnored, Point{})
	case Mbox:
		return s.mbox(name, r, at, lengthsUnknown, Point{})
	}
	_, err = Kind(head)
	s.fail(name, 0, err)
	return nil
}

// isLarge reports whether at is a file that is large enough for a Suspect.
func isLarge(at io.ReaderAt) bool {
	f, ok := at.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Size() >= suspectSize
}

// startsSection reports whether a file begins with a header section.
func startsSection(head []byte) bool {
	var section hashheader.Section
	section.Scan(head, true)
	return len(section.Spans) > 0
}

// single sends the message that is a file of its own. It reads the header section
// and no more of the body than comes with it.
func (s *scanner) single(name string, r io.Reader) error {
	const step = 16 << 10
	from := len(s.b.buf)
	m := span{Message: Message{Source: name, Index: 1, Format: Single}, from: from}
	section := hashheader.Section{Wants: func([]byte) bool { return false }}
	for {
		s.b.buf = slices.Grow(s.b.buf, step)
		n, err := r.Read(s.b.buf[len(s.b.buf) : len(s.b.buf)+step])
		s.b.buf = s.b.buf[:len(s.b.buf)+n]
		ended := section.Scan(s.b.buf[from:], err != nil)
		if !ended {
			continue
		}
		m.last, m.torn = err != nil, err != nil && !errors.Is(err, io.EOF)
		if section.Err() != nil {
			m.Err = section.Err()
			s.b.buf = s.b.buf[:from]
		} else if !m.last {
			s.b.buf = s.b.buf[:from+section.End]
		}
		m.to = len(s.b.buf)
		s.report(m)
		if len(s.b.spans) >= 128 || len(s.b.buf) > blockSize/2 {
			s.flush()
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		return err
	}
}

// report adds a message to the batch.
func (s *scanner) report(m span) { s.b.spans = append(s.b.spans, m) }

// fail adds an error of a source to the batch.
func (s *scanner) fail(source string, offset int64, err error) {
	s.report(span{Message: Message{Source: source, Offset: offset, Err: err}})
}

// flush sends the batch, unless it is empty.
func (s *scanner) flush() {
	if len(s.b.spans) == 0 {
		return
	}
	s.stopped = s.stopped || !s.yield(s.b)
	s.b = newBatch(s.free)
}

// Reason returns the error within an *os.PathError, for callers that print the name
// of the file themselves. It returns other errors as they are.
func Reason(err error) error {
	var path *os.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
