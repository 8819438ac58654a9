package powercut

import (
	"hash/maphash"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A disk is the files and folders of a trace, what is synced of each and what is
// not.
type disk struct {
	root  *node
	names map[string]*node // as the process sees them, by path below the root
	said  []string
	syncs map[string]pending // by thread
}

// A node is a file or a folder.
type node struct {
	folder  bool
	synced  content
	waiting []change // since, in order
	size    int      // of a file, as the process sees it
}

// A content is what a node holds.
type content struct {
	data    []byte
	entries map[string]*node
}

// A change is one of a folder's entry, a write, and a file's size.
type change struct {
	name string // of the entry
	node *node  // nil where it is removed
	data []byte
	at   int // of data, or the size
}

// A pending sync covers the changes that were made before it began.
type pending struct {
	node    *node
	changes int
}

func newDisk() *disk {
	root := &node{folder: true}
	return &disk{root: root, names: map[string]*node{".": root}, syncs: make(map[string]pending)}
}

// take does what a call does.
func (d *disk) take(tr *Trace, c call) {
	if !c.end {
		d.begin(tr, c)
		return
	}
	if c.failed() {
		return
	}
	if c.isSync() {
		d.sync(c.thread)
		return
	}
	path, below := tr.path(c.file())
	n := d.names[path]
	switch c.name {
	case "write", "pwrite64":
		if !below || n == nil {
			return
		}
		data := []byte(c.texts()[0])
		wrote, _ := strconv.Atoi(c.result)
		at := n.size // write appends
		if c.name == "pwrite64" {
			at = c.last()
		}
		n.write(data[:wrote], at)
	case "ftruncate":
		if below && n != nil {
			n.resize(c.last())
		}
	default:
		d.name(tr, c)
	}
}

// name does what a call with names does.
func (d *disk) name(tr *Trace, c call) {
	var paths []string
	for _, name := range c.texts() {
		path, below := tr.path(name)
		if !below {
			return
		}
		paths = append(paths, path)
	}
	if len(paths) == 0 {
		return
	}
	n := d.names[paths[0]]
	switch c.name {
	case "openat":
		if n == nil && strings.Contains(c.args, "O_CREAT") {
			d.enter(paths[0], &node{})
		} else if n != nil && strings.Contains(c.args, "O_TRUNC") {
			n.resize(0)
		}
	case "mkdirat":
		d.enter(paths[0], &node{folder: true})
	case "truncate":
		n.resize(c.last())
	case "unlinkat":
		d.enter(paths[0], nil)
	case "linkat":
		d.enter(paths[1], n)
	case "renameat", "renameat2":
		d.enter(paths[1], n)
		d.enter(paths[0], nil)
	}
}

// enter sets what a path names.
func (d *disk) enter(path string, n *node) {
	folder := d.names[filepath.Dir(path)]
	folder.waiting = append(folder.waiting, change{name: filepath.Base(path), node: n})
	if n == nil {
		delete(d.names, path)
		return
	}
	d.names[path] = n
}

// begin notes what a sync covers, and what is printed: who reads it may act
// before the call ends.
func (d *disk) begin(tr *Trace, c call) {
	if c.name == "write" && strings.HasPrefix(c.args, "1<") {
		d.said = append(d.said, strings.Fields(c.texts()[0])...)
	}
	if path, below := tr.path(c.file()); c.isSync() && below && d.names[path] != nil {
		n := d.names[path]
		d.syncs[c.thread] = pending{n, len(n.waiting)}
	}
}

func (d *disk) sync(thread string) {
	p := d.syncs[thread]
	delete(d.syncs, thread)
	if p.node == nil {
		return
	}
	for _, c := range p.node.waiting[:p.changes] {
		p.node.synced = c.apply(p.node.synced)
	}
	p.node.waiting = slices.Clone(p.node.waiting[p.changes:])
}

func (n *node) write(data []byte, at int) {
	n.waiting = append(n.waiting, change{data: data, at: at})
	n.size = max(n.size, at+len(data))
}

func (n *node) resize(size int) {
	n.waiting = append(n.waiting, change{at: size})
	n.size = size
}

// apply returns a content after the change. It does not alter the old one.
func (c change) apply(to content) content {
	if c.name != "" {
		to.entries = maps.Clone(to.entries)
		if to.entries == nil {
			to.entries = make(map[string]*node)
		}
		if c.node == nil {
			delete(to.entries, c.name)
		} else {
			to.entries[c.name] = c.node
		}
		return to
	}
	size := c.at
	if c.data != nil {
		size = max(len(to.data), c.at+len(c.data))
	}
	data := make([]byte, size)
	copy(data, to.data)
	if c.data != nil {
		copy(data[c.at:], c.data)
	}
	return content{data: data}
}

// A keep says which of the changes that were not synced are on the disk.
type keep int

const (
	none keep = iota
	all
	some
	torn // as some, and of the writes any sectors
)

const sector = 512

// after returns what is on the disk of a node.
func (n *node) after(k keep, r *rand.Rand) content {
	now := n.synced
	for _, c := range n.waiting {
		switch {
		case k == none || k >= some && r.IntN(2) == 0:
		case k == torn && c.data != nil:
			now = c.tear(now, r)
		default:
			now = c.apply(now)
		}
	}
	return now
}

// tear writes some of the sectors, and now and then lets the file grow all the
// same.
func (c change) tear(to content, r *rand.Rand) content {
	if r.IntN(2) == 0 && c.at+len(c.data) > len(to.data) {
		to = change{at: c.at + len(c.data)}.apply(to)
	}
	for data, at := c.data, c.at; len(data) > 0; {
		n := min(len(data), sector-at%sector)
		if r.IntN(2) == 0 {
			to = change{data: data[:n], at: at}.apply(to)
		}
		data, at = data[n:], at+n
	}
	return to
}

// A State is what the power leaves, and what was printed before it went.
type State struct {
	Said  []string // words
	files map[string][]byte
	dirs  []string
}

// States yields the states at each moment of the trace, each once for what was
// printed last.
func (tr *Trace) States(r *rand.Rand) iter.Seq[State] {
	return func(yield func(State) bool) {
		d := newDisk()
		seen := make(map[uint64]bool)
		seed := maphash.MakeSeed()
		for _, c := range tr.calls {
			d.take(tr, c)
			for names := none; names <= some; names++ {
				for data := none; data <= torn; data++ {
					s := d.state(names, data, r)
					if sum := s.sum(seed); seen[sum] {
						continue
					} else {
						seen[sum] = true
					}
					if !yield(s) {
						return
					}
				}
			}
		}
	}
}

// state returns one state, in which names and data are kept or not.
func (d *disk) state(names, data keep, r *rand.Rand) State {
	s := State{Said: slices.Clip(d.said), files: make(map[string][]byte)}
	made := make(map[*node]content) // a file with two names has one content
	var visit func(path string, n *node)
	visit = func(path string, n *node) {
		if !n.folder {
			if _, there := made[n]; !there {
				made[n] = n.after(data, r)
			}
			s.files[path] = made[n].data
			return
		}
		s.dirs = append(s.dirs, path)
		entries := n.after(names, r).entries
		for _, name := range slices.Sorted(maps.Keys(entries)) {
			visit(filepath.Join(path, name), entries[name])
		}
	}
	visit(".", d.root)
	return s
}

// sum tells states apart.
func (s State) sum(seed maphash.Seed) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	maphash.WriteComparable(&h, len(s.Said))
	for _, dir := range s.dirs {
		h.WriteString(dir + "\x00")
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		h.WriteString(name + "\x00")
		maphash.WriteComparable(&h, len(s.files[name]))
		h.Write(s.files[name])
	}
	return h.Sum64()
}

// Restore writes the files of the state below a folder.
func (s State) Restore(root string) error {
	for _, dir := range s.dirs {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			return err
		}
	}
	for name, data := range s.files {
		if err := os.WriteFile(filepath.Join(root, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// String describes the state.
func (s State) String() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		b.WriteString(name + " (" + strconv.Itoa(len(s.files[name])) + " bytes) ")
	}
	return b.String() + "after " + strconv.Itoa(len(s.Said)) + " words"
}
