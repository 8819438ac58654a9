package salvage

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

// The format of a bbolt file, version 2, in the byte order of the machine.
// A page is a header (its number, uint64; kind, count, uint16; the number of
// pages that follow it as its own, uint32), then count elements of 16 bytes,
// then what these point to:
//
//	branch  offset from the element, key length uint32; page uint64
//	leaf    flags (1: a bucket), offset, key length, value length uint32
//
// Pages 0 and 1 hold the meta data: magic, version, page size, flags uint32;
// page of the root bucket, its sequence, page of the free list, number of
// pages, transaction, FNV-1a of all that uint64. The higher transaction
// counts. A bucket is its root page and sequence, uint64; a small bucket has
// root page 0 and is followed by its only page.
const (
	headerSize, elementSize, metaSize, bucketSize = 16, 16, 64, 16

	branchPage, leafPage = 0x01, 0x02

	bucketFlag = 1
	magic      = 0xED0CDAED
	minPage    = 512
	maxPage    = 64 << 10
)

var order = binary.NativeEndian

var (
	errTruncated = errors.New("it ends before its last element")
	errNowhere   = errors.New("an element points outside of it")
)

// A meta is what Read needs of a meta page.
type meta struct{ pageSize, root, pages, transaction uint64 }

func parseMeta(b []byte) (m meta, ok bool) {
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if order.Uint32(b) != magic || order.Uint32(b[4:]) != 2 || order.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return meta{}, false
	}
	m = meta{uint64(order.Uint32(b[8:])), order.Uint64(b[16:]), order.Uint64(b[40:]), order.Uint64(b[48:])}
	return m, m.pageSize >= minPage && m.pageSize <= maxPage
}

// readMeta returns the meta data of the last transaction that can be read.
// Readable is how many of the two meta pages are.
func readMeta(file io.ReaderAt) (last meta, readable int) {
	read := func(at int64) {
		b := make([]byte, metaSize)
		if _, err := file.ReadAt(b, at+headerSize); err != nil {
			return
		}
		m, ok := parseMeta(b)
		if !ok || at > 0 && m.pageSize != uint64(at) {
			return
		}
		readable++
		if readable == 1 || m.transaction > last.transaction {
			last = m
		}
	}
	read(0)
	for size := int64(minPage); size <= maxPage; size *= 2 { // where the second page begins
		read(size)
	}
	return last, readable
}

// A page is the bytes of a page and of those that it spans.
type page []byte

func (p page) id() uint64       { return order.Uint64(p) }
func (p page) kind() uint16     { return order.Uint16(p[8:]) }
func (p page) count() int       { return int(order.Uint16(p[10:])) }
func (p page) overflow() uint64 { return uint64(order.Uint32(p[12:])) }

// element returns where the i-th element is, and its four numbers.
func (p page) element(i int) (at uint64, n [4]uint32, err error) {
	at = headerSize + uint64(i)*elementSize
	if at+elementSize > uint64(len(p)) {
		return 0, n, errTruncated
	}
	for j := range n {
		n[j] = order.Uint32(p[at+4*uint64(j):])
	}
	return at, n, nil
}

// child returns the page that the i-th element of a branch page names.
func (p page) child(i int) (id uint64, err error) {
	at, _, err := p.element(i)
	if err != nil {
		return 0, err
	}
	return order.Uint64(p[at+8:]), nil
}

// pair returns the i-th element of a leaf page.
func (p page) pair(i int) (key, value []byte, isBucket bool, err error) {
	at, n, err := p.element(i)
	if err != nil {
		return nil, nil, false, err
	}
	from := at + uint64(n[1])
	middle := from + uint64(n[2])
	to := middle + uint64(n[3])
	if to > uint64(len(p)) || n[0] > bucketFlag {
		return nil, nil, false, errNowhere
	}
	return p[from:middle], p[middle:to], n[0] == bucketFlag, nil
}
