package boltreg

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

// The format of a bbolt file, version 2, all in the byte order of the machine.
// A page is a header (its number, uint64; kind, count, uint16; how many
// pages more it spans, uint32), then count elements of 16 bytes, then what
// these point to:
//
//	branch  offset from the element, key length uint32; page uint64
//	leaf    flags (1: a bucket), offset, key length, value length uint32
//
// Pages 0 and 1 hold the meta data: magic, version, page size, flags uint32;
// page of the root bucket, its sequence, page of the free list, number of
// pages, transaction, FNV-1a of all that uint64. The transaction with the
// higher number counts. A bucket is its root page and sequence, uint64; a
// small one has page 0, and the page itself follows.
const (
	headerSize, elementSize, metaSize, bucketSize = 16, 16, 64, 16

	branchPage, leafPage, freelistPage = 0x01, 0x02, 0x10

	bucketFlag = 1
	noFreelist = ^uint64(0)
	magic      = 0xED0CDAED
	minPage    = 512
	maxPage    = 64 << 10
)

var order = binary.NativeEndian

var (
	errCut      = errors.New("it is cut short")
	errElements = errors.New("it has not the elements that it tells")
	errNowhere  = errors.New("an element points nowhere")
)

// A meta is what Inspect needs of a meta page.
type meta struct{ pageSize, root, freelist, pages, transaction uint64 }

func parseMeta(b []byte) (m meta, ok bool) {
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if order.Uint32(b) != magic || order.Uint32(b[4:]) != 2 || order.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return meta{}, false
	}
	m = meta{uint64(order.Uint32(b[8:])), order.Uint64(b[16:]), order.Uint64(b[32:]), order.Uint64(b[40:]), order.Uint64(b[48:])}
	return m, m.pageSize >= minPage && m.pageSize <= maxPage
}

// readMeta returns the meta data of the last transaction, and an error that
// names a meta page which is not readable. Without any, ok is false.
func readMeta(file io.ReaderAt) (last meta, ok bool, err error) {
	read := func(at int64) (meta, bool) {
		b := make([]byte, metaSize)
		if _, err := file.ReadAt(b, at+headerSize); err != nil {
			return meta{}, false
		}
		return parseMeta(b)
	}
	first, ok0 := read(0)
	var second meta
	ok1 := false
	// The second tells where it is, if the first does not.
	for size := int64(minPage); size <= maxPage && !ok1; size *= 2 {
		second, ok1 = read(size)
		ok1 = ok1 && second.pageSize == uint64(size)
	}
	switch {
	case !ok0 && !ok1:
		return meta{}, false, nil
	case !ok0:
		return second, true, errors.New("page 0: its meta data is not readable; what was committed last may be missing")
	case !ok1:
		return first, true, errors.New("page 1: its meta data is not readable; what was committed last may be missing")
	case second.transaction > first.transaction:
		return second, true, nil
	}
	return first, true, nil
}

// A page is a page's bytes from its header on, those that it spans too.
type page []byte

func (p page) id() uint64       { return order.Uint64(p) }
func (p page) kind() uint16     { return order.Uint16(p[8:]) }
func (p page) count() int       { return int(order.Uint16(p[10:])) }
func (p page) overflow() uint64 { return uint64(order.Uint32(p[12:])) }

// element returns the i-th element's four numbers.
func (p page) element(i int) (at int, n [4]uint32, err error) {
	at = headerSize + i*elementSize
	if at+elementSize > len(p) {
		return 0, n, errCut
	}
	for j := range n {
		n[j] = order.Uint32(p[at+4*j:])
	}
	return at, n, nil
}

// checkElements looks whether the elements lead to one piece after another,
// from where the elements end.
func (p page) checkElements() error {
	next := headerSize + uint64(p.count())*elementSize
	for i := range p.count() {
		at, n, err := p.element(i)
		if err != nil {
			return err
		}
		offset, length := uint64(n[0]), uint64(n[1])
		if p.kind() == leafPage {
			offset, length = uint64(n[1]), uint64(n[2])+uint64(n[3])
		}
		if uint64(at)+offset != next {
			return errElements
		}
		next += length
	}
	if next > uint64(len(p)) {
		return errNowhere
	}
	return nil
}

// child returns the page that the i-th element of a branch page names, and
// the key from which on it leads there.
func (p page) child(i int) (key []byte, id uint64, err error) {
	at, n, err := p.element(i)
	if err != nil {
		return nil, 0, err
	}
	from := uint64(at) + uint64(n[0])
	to := from + uint64(n[1])
	if to > uint64(len(p)) {
		return nil, 0, errNowhere
	}
	return p[from:to], order.Uint64(p[at+8:]), nil
}

// pair returns the i-th element of a leaf page.
func (p page) pair(i int) (key, value []byte, isBucket bool, err error) {
	at, n, err := p.element(i)
	if err != nil {
		return nil, nil, false, err
	}
	from := uint64(at) + uint64(n[1])
	middle := from + uint64(n[2])
	to := middle + uint64(n[3])
	if to > uint64(len(p)) || n[0] > bucketFlag {
		return nil, nil, false, errNowhere
	}
	return p[from:middle], p[middle:to], n[0] == bucketFlag, nil
}

// free returns the numbers that a free list's pages hold. Where they are more
// than the header can count, the first one is their number.
func (p page) free() ([]uint64, error) {
	count, rest := uint64(p.count()), p[headerSize:]
	if count == 0xffff {
		count, rest = order.Uint64(rest), rest[8:]
	}
	if count > uint64(len(rest))/8 {
		return nil, errCut
	}
	free := make([]uint64, count)
	for i := range free {
		free[i] = order.Uint64(rest[8*i:])
	}
	return free, nil
}
