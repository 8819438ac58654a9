package boltreg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"syscall"

	"go.etcd.io/bbolt"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// ErrDamaged is wrapped in what Inspect finds wrong.
var ErrDamaged = errors.New("damaged registry file")

// Inspect reads a registry file that no process holds, whatever is in it, and
// changes nothing. It yields the records that can be read, and an error that
// wraps ErrDamaged for each place that cannot, where it goes on; any other
// error ends it. Where nothing was wrong, it has bbolt check the file too.
// From a damaged file come also the records of pages that nothing leads to,
// so that a record may come twice, as it is and as it was: registry.Restore
// takes them in any order.
//
// It reads the pages itself: bbolt maps the file, and on a damaged one may
// fault or run for ever. The format has no sums over what it stores, so that
// a changed byte within a URL, a subject or an identity is not found.
func Inspect(name string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) {
		file, err := openShared(name)
		if err != nil {
			yield(registry.Record{}, err)
			return
		}
		defer file.Close()
		in := newInspector(file, yield)
		in.pair = in.entry
		if err := in.inspect(); err != nil && !in.stopped {
			yield(registry.Record{}, err)
		}
		if in.sound() {
			checkByBbolt(name, in)
		}
	}
}

// openShared keeps writers off while the file is read.
func openShared(name string) (*os.File, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		file.Close()
		return nil, inUse(name)
	}
	return file, nil
}

// An inspector walks the tree of one file. Its methods return false when
// nothing more is wanted.
type inspector struct {
	file    *os.File
	size    uint64
	meta    meta
	seen    map[uint64]bool
	last    []byte // key
	parent  bool   // last is that by which a branch page leads on
	pair    func(id uint64, key, value []byte, isBucket bool)
	yield   func(registry.Record, error) bool
	damaged bool
	stopped bool
}

func newInspector(file *os.File, yield func(registry.Record, error) bool) *inspector {
	return &inspector{file: file, seen: make(map[uint64]bool), yield: yield}
}

func (in *inspector) sound() bool { return !in.damaged && !in.stopped }

// damage tells what is wrong.
func (in *inspector) damage(format string, args ...any) {
	in.damaged = true
	in.give(registry.Record{}, fmt.Errorf("%w: %w", ErrDamaged, fmt.Errorf(format, args...)))
}

func (in *inspector) give(r registry.Record, err error) {
	in.stopped = in.stopped || !in.yield(r, err)
}

// inspect returns an error where the file cannot be read at all.
func (in *inspector) inspect() error {
	lost, err := in.begin()
	if err != nil || in.damaged {
		return err
	}
	if lost != nil {
		in.damage("%w", lost)
	}
	in.walk()
	if in.damaged {
		in.strays()
	}
	return nil
}

// begin reads the meta data. Lost names a meta page that cannot be read where
// the other one can.
func (in *inspector) begin() (lost, err error) {
	info, err := in.file.Stat()
	if err != nil {
		return nil, err
	}
	in.size = uint64(info.Size())
	m, ok, lost := readMeta(in.file)
	if !ok {
		in.damage("it has no readable meta data: it is no registry file, or nothing of it can be saved")
		return nil, nil
	}
	in.meta = m
	return lost, nil
}

// fresh is the number of the last transaction before a store's bucket is
// there: until then the root page has no element.
const fresh = 1

// walk visits all pages that are in use.
func (in *inspector) walk() {
	if in.size/in.meta.pageSize < in.meta.pages {
		in.damage("it has %d bytes of %d: it was cut off", in.size, in.meta.pages*in.meta.pageSize)
	}
	free := in.freelist()
	in.tree(in.meta.root, in.root)
	for i, id := range free {
		if id < 2 || id >= in.meta.pages || in.seen[id] || i > 0 && id <= free[i-1] {
			in.damage("page %d, the list of free pages: it has page %d, which is in use, out of order or outside of the file", in.meta.freelist, id)
			return
		}
	}
}

// freelist returns the numbers of the free pages.
func (in *inspector) freelist() []uint64 {
	if in.meta.freelist == noFreelist {
		return nil
	}
	p, err := in.page(in.meta.freelist, freelistPage)
	var free []uint64
	if err == nil {
		free, err = p.free()
	}
	if err != nil {
		in.damage("page %d, the list of free pages: %w", in.meta.freelist, err)
	}
	return free
}

var (
	errOutside = errors.New("it is outside of the file")
	errTwice   = errors.New("it stands at two places")
	errHeader  = errors.New("its header is not one")
	errBehind  = errors.New("it is behind the end of the file")
	errOrder   = errors.New("its keys are out of order, so that some are not found")
)

// page reads a page that should be of one of the kinds.
func (in *inspector) page(id uint64, kinds ...uint16) (page, error) {
	switch {
	case id < 2 || id >= in.meta.pages:
		return nil, errOutside
	case in.seen[id]:
		return nil, errTwice
	}
	at := id * in.meta.pageSize
	header := make(page, headerSize)
	if _, err := in.file.ReadAt(header, int64(at)); err != nil {
		return nil, behind(err)
	}
	if header.id() != id || !slices.Contains(kinds, header.kind()) || header.overflow() >= in.meta.pages-id {
		return nil, errHeader
	}
	length := (header.overflow() + 1) * in.meta.pageSize
	if at+length > in.size {
		return nil, errBehind
	}
	for i := range header.overflow() + 1 {
		if in.seen[id+i] {
			return nil, errTwice
		}
		in.seen[id+i] = true
	}
	p := make(page, length)
	_, err := in.file.ReadAt(p, int64(at))
	return p, err
}

func behind(err error) error {
	if errors.Is(err, io.EOF) {
		return errBehind
	}
	return err
}

// tree calls leaf with each pair below a page.
func (in *inspector) tree(id uint64, leaf func(id uint64, key, value []byte, isBucket bool)) {
	if in.stopped {
		return
	}
	p, err := in.page(id, branchPage, leafPage)
	if err != nil {
		in.damage("page %d: %w", id, err)
		return
	}
	err = p.checkElements()
	if err == nil && p.count() == 0 && (id != in.meta.root || in.meta.transaction > fresh) {
		err = errElements
	}
	if err != nil {
		in.damage("page %d: %w", id, err) // and what it has is read
	}
	if p.kind() == leafPage {
		in.leaf(id, p, leaf)
		return
	}
	for i := 0; i < p.count() && !in.stopped; i++ {
		key, child, err := p.child(i)
		if err != nil {
			in.damage("page %d: %w", id, err)
			return
		}
		in.order(id, key, true)
		in.tree(child, leaf)
	}
}

func (in *inspector) leaf(id uint64, p page, leaf func(id uint64, key, value []byte, isBucket bool)) {
	for i := 0; i < p.count() && !in.stopped; i++ {
		key, value, isBucket, err := p.pair(i)
		if err != nil {
			in.damage("page %d: %w", id, err)
			continue
		}
		leaf(id, key, value, isBucket)
	}
}

// root takes what stands in the root bucket: the bucket of the entries.
func (in *inspector) root(id uint64, key, value []byte, isBucket bool) {
	if !isBucket || !bytes.Equal(key, entriesBucket) || len(value) < bucketSize {
		in.damage("page %d: %q is no bucket of this version", id, key)
		return
	}
	if page := order.Uint64(value); page != 0 {
		in.tree(page, in.pair)
		return
	}
	inline := page(value[bucketSize:])
	switch {
	case len(inline) < headerSize || inline.kind() != leafPage:
		in.damage("page %d: %w", id, errHeader)
		return
	case inline.checkElements() != nil, inline.count() == 0 && len(inline) > headerSize:
		in.damage("page %d: %w", id, errElements)
	}
	in.leaf(id, inline, in.pair)
}

// entry yields one record.
func (in *inspector) entry(id uint64, key, value []byte, isBucket bool) {
	r, err := parseRecord(key, value, isBucket)
	if err != nil {
		in.damage("page %d: %w", id, err)
		return
	}
	in.order(id, key, false)
	in.give(r, nil)
}

// order looks whether a key stands where bbolt looks for it: behind the one
// before, and first below a branch page that has the same key for it. Where
// that differs, bbolt finds all keys, but doubles them with the next write.
func (in *inspector) order(id uint64, key []byte, parent bool) {
	c := bytes.Compare(in.last, key)
	if in.last != nil && (in.parent && c != 0 || !in.parent && c >= 0) {
		in.damage("page %d: %w: %q", id, errOrder, key)
	}
	in.last, in.parent = bytes.Clone(key), parent
}

// parseRecord takes nothing that the store would not have written.
func parseRecord(key, value []byte, isBucket bool) (registry.Record, error) {
	k := parseKey(key)
	_, badList := hashheader.CheckList(k.List)
	_, badHash := hashheader.CheckHash(k.Hash)
	if isBucket || badList != nil || badHash != nil {
		return registry.Record{}, fmt.Errorf("%q is no key of an entry", key)
	}
	e, err := registry.DecodeEntry(value)
	if err != nil {
		return registry.Record{}, fmt.Errorf("%s on %s: %w", k.Hash, k.List, err)
	}
	return registry.Record{Key: k, Entry: e}, nil
}

// strays yields what stands in pages that the tree did not lead to.
func (in *inspector) strays() {
	for id := uint64(2); id < in.size/in.meta.pageSize && !in.stopped; id++ {
		if in.seen[id] {
			continue
		}
		p, err := in.page(id, leafPage)
		if err != nil {
			continue
		}
		for i := 0; i < p.count() && !in.stopped; i++ {
			key, value, isBucket, err := p.pair(i)
			if err != nil {
				continue
			}
			if r, err := parseRecord(key, value, isBucket); err == nil {
				in.give(r, nil)
			}
		}
	}
}

// checkByBbolt has bbolt look at what Inspect does not: the list of free
// pages, and pages that nothing names.
func checkByBbolt(name string, in *inspector) {
	db, err := bbolt.Open(name, 0, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: lockWait})
	if err != nil {
		in.damage("%w", err)
		return
	}
	defer db.Close()
	db.View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			in.damage("%w", err)
		}
		return nil
	})
}
