// Package salvage reads what can be read of a damaged registry file.
//
//	for record, err := range salvage.Read("permalinks.db") {
//		if errors.Is(err, filecheck.ErrDamaged) {
//			log.Print(err) // and go on
//		}
//		...
//	}
//
// It reads the pages of the file itself, because bbolt crashes on a damaged
// one. Only "permalink registry check" and "export" need it.
package salvage

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"syscall"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg/filecheck"
	"permalink-milter/registry/boltreg/pages"
	"permalink-milter/registry/statefile"
)

// Read yields the records of a registry file that no process holds, and for
// each place that cannot be read an error that wraps filecheck.ErrDamaged,
// after which it goes on. Any other error ends it. It changes nothing.
//
// From a damaged file come also the records of pages that the tree does not
// lead to. So a record may come twice, as it is and as it was;
// registry.Restore takes them in any order.
func Read(name string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		file, err := openShared(name)
		if err != nil {
			yield(registry.Record{}, err)
			return
		}
		defer file.Close()
		r := &reader{file: file, seen: make(map[uint64]bool), yield: yield}
		if err := filecheck.Check(name); err != nil {
			r.damaged = errors.Is(err, filecheck.ErrDamaged)
			r.give(registry.Record{}, err)
			r.stopped = r.stopped || !r.damaged
		}
		r.read()
	}
}

// openShared keeps writers away while the file is read.
func openShared(name string) (*os.File, error) {
	file, err := statefile.Open(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, filecheck.InUse(name)
	}
	return file, nil
}

// A reader walks the tree of one file.
type reader struct {
	file    *os.File
	size    uint64
	meta    pages.Meta
	seen    map[uint64]bool // pages
	yield   func(registry.Record, error) bool
	damaged bool
	stopped bool // nothing more is wanted
}

func (r *reader) damage(format string, args ...any) {
	r.damaged = true
	r.give(registry.Record{}, fmt.Errorf("%w: %w", filecheck.ErrDamaged, fmt.Errorf(format, args...)))
}

func (r *reader) give(record registry.Record, err error) {
	r.stopped = r.stopped || !r.yield(record, err)
}

func (r *reader) read() {
	if r.stopped {
		return
	}
	info, err := r.file.Stat()
	if err != nil {
		r.give(registry.Record{}, err)
		return
	}
	r.size = uint64(info.Size())
	var readable int
	r.meta, readable = pages.ReadMeta(r.file)
	switch readable {
	case 0:
		return // as Check said, and nothing can be saved
	case 1:
		r.damage("one of its two meta pages cannot be read: the last commit may be missing")
	}
	r.tree(r.meta.Root, r.root)
	if r.damaged {
		r.strays()
	}
}

var (
	errOutside = errors.New("it is outside of the file")
	errTwice   = errors.New("two pages lead to it")
	errHeader  = errors.New("it has no valid header")
	errBehind  = errors.New("it is behind the end of the file")
)

// page reads a page that is of one of the kinds.
func (r *reader) page(id uint64, kinds ...uint16) (pages.Page, error) {
	switch {
	case id < 2 || id >= r.meta.Pages:
		return nil, errOutside
	case r.seen[id]:
		return nil, errTwice
	}
	header, err := pages.ReadHeader(r.file, id, r.meta.PageSize)
	if err != nil {
		return nil, behind(err)
	}
	if header.ID() != id || !slices.Contains(kinds, header.Kind()) || header.Overflow() >= r.meta.Pages-id {
		return nil, errHeader
	}
	if (id+header.Overflow()+1)*r.meta.PageSize > r.size {
		return nil, errBehind
	}
	for i := range header.Overflow() + 1 {
		if r.seen[id+i] {
			return nil, errTwice
		}
		r.seen[id+i] = true
	}
	return pages.Read(r.file, id, r.meta.PageSize)
}

func behind(err error) error {
	if errors.Is(err, io.EOF) {
		return errBehind
	}
	return err
}

// A visitor takes one pair of a leaf page.
type visitor func(id uint64, key, value []byte, isBucket bool)

// tree visits the pairs below a page.
func (r *reader) tree(id uint64, visit visitor) {
	if r.stopped {
		return
	}
	p, err := r.page(id, pages.Branch, pages.Leaf)
	if err != nil {
		r.damage("page %d: %w", id, err)
		return
	}
	if p.Kind() == pages.Leaf {
		r.leaf(id, p, visit)
		return
	}
	for i := 0; i < p.Count() && !r.stopped; i++ {
		_, child, err := p.Child(i)
		if err != nil {
			r.damage("page %d: %w", id, err)
			return
		}
		r.tree(child, visit)
	}
}

func (r *reader) leaf(id uint64, p pages.Page, visit visitor) {
	for i := 0; i < p.Count() && !r.stopped; i++ {
		key, value, isBucket, err := p.Pair(i)
		if err != nil {
			r.damage("page %d: %w", id, err)
			continue
		}
		visit(id, key, value, isBucket)
	}
}

// root visits a pair of the root bucket, in which the only key is the name of
// the bucket of the entries.
func (r *reader) root(id uint64, key, value []byte, isBucket bool) {
	if !isBucket || string(key) != filecheck.EntriesBucket || len(value) < pages.BucketSize {
		r.damage("page %d: %q is not a bucket of this version", id, key)
		return
	}
	if root := pages.RootOf(value); root != 0 {
		r.tree(root, r.entry)
		return
	}
	inline := pages.Page(value[pages.BucketSize:])
	if len(inline) < pages.HeaderSize || inline.Kind() != pages.Leaf {
		r.damage("page %d: %w", id, errHeader)
		return
	}
	r.leaf(id, inline, r.entry)
}

func (r *reader) entry(id uint64, key, value []byte, isBucket bool) {
	record, err := parseRecord(key, value, isBucket)
	if err != nil {
		r.damage("page %d: %w", id, err)
		return
	}
	r.give(record, nil)
}

// parseRecord accepts only what a store would have written.
func parseRecord(key, value []byte, isBucket bool) (registry.Record, error) {
	list, hash, _ := bytes.Cut(key, []byte{0})
	k := registry.Key{List: string(list), Hash: string(hash)}
	_, badList := hashheader.CheckList(k.List)
	_, badHash := hashheader.CheckHash(k.Hash)
	if isBucket || badList != nil || badHash != nil {
		return registry.Record{}, fmt.Errorf("%q is not the key of an entry", key)
	}
	e, err := registry.DecodeEntry(value)
	if err != nil {
		return registry.Record{}, fmt.Errorf("%s on %s: %w", k.Hash, k.List, err)
	}
	return registry.Record{Key: k, Entry: e}, nil
}

// strays yields the records of leaf pages that the tree did not lead to.
func (r *reader) strays() {
	for id := uint64(2); id < r.size/r.meta.PageSize && !r.stopped; id++ {
		if r.seen[id] {
			continue
		}
		p, err := r.page(id, pages.Leaf)
		if err != nil {
			continue
		}
		for i := 0; i < p.Count() && !r.stopped; i++ {
			r.stray(p.Pair(i))
		}
	}
}

func (r *reader) stray(key, value []byte, isBucket bool, err error) {
	if err != nil {
		return
	}
	if record, err := parseRecord(key, value, isBucket); err == nil {
		r.give(record, nil)
	}
}
