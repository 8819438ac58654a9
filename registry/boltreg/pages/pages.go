// Package pages reads the page format of a bbolt file, for what bbolt itself
// cannot do: check the keys of branch pages, and read a damaged file.
//
//	meta, readable := pages.ReadMeta(file)
//	...
//	p, err := pages.Read(file, meta.Root, meta.PageSize)
package pages

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

// The format, version 2, in the byte order of the machine.
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
	HeaderSize, ElementSize, BucketSize = 16, 16, 16 // in bytes

	metaSize = 64

	// The kinds of pages with elements.
	Branch, Leaf = 0x01, 0x02

	bucketFlag = 1
	magic      = 0xED0CDAED
	minPage    = 512
	maxPage    = 64 << 10
)

var order = binary.NativeEndian

// RootOf returns the root page of a bucket, given its value in a leaf page.
func RootOf(bucket []byte) uint64 { return order.Uint64(bucket) }

var (
	errTruncated = errors.New("it ends before its last element")
	errNowhere   = errors.New("an element points outside of it")
)

// A Meta is the part of a meta page that leads to the entries.
type Meta struct{ PageSize, Root, Pages, Transaction uint64 }

func parseMeta(b []byte) (m Meta, ok bool) {
	sum := fnv.New64a()
	sum.Write(b[:metaSize-8])
	if order.Uint32(b) != magic || order.Uint32(b[4:]) != 2 || order.Uint64(b[metaSize-8:]) != sum.Sum64() {
		return Meta{}, false
	}
	m = Meta{uint64(order.Uint32(b[8:])), order.Uint64(b[16:]), order.Uint64(b[40:]), order.Uint64(b[48:])}
	return m, m.PageSize >= minPage && m.PageSize <= maxPage
}

// ReadMeta returns the meta data of the last transaction that can be read.
// Readable is how many of the two meta pages are.
func ReadMeta(file io.ReaderAt) (last Meta, readable int) {
	read := func(at int64) {
		b := make([]byte, metaSize)
		if _, err := file.ReadAt(b, at+HeaderSize); err != nil {
			return
		}
		m, ok := parseMeta(b)
		if !ok || at > 0 && m.PageSize != uint64(at) {
			return
		}
		readable++
		if readable == 1 || m.Transaction > last.Transaction {
			last = m
		}
	}
	read(0)
	for size := int64(minPage); size <= maxPage; size *= 2 { // where the second page begins
		read(size)
	}
	return last, readable
}

// A Page is the bytes of a page and of those that it spans.
type Page []byte

// ReadHeader reads the header of a page.
func ReadHeader(file io.ReaderAt, id, pageSize uint64) (Page, error) {
	header := make(Page, HeaderSize)
	_, err := file.ReadAt(header, int64(id*pageSize))
	return header, err
}

// Read reads a page.
func Read(file io.ReaderAt, id, pageSize uint64) (Page, error) {
	header, err := ReadHeader(file, id, pageSize)
	if err != nil {
		return nil, err
	}
	p := make(Page, (header.Overflow()+1)*pageSize)
	_, err = file.ReadAt(p, int64(id*pageSize))
	return p, err
}

// ID returns the number of the page.
func (p Page) ID() uint64 { return order.Uint64(p) }

// Kind returns Branch, Leaf or the kind of a page without elements.
func (p Page) Kind() uint16 { return order.Uint16(p[8:]) }

// Count returns the number of elements.
func (p Page) Count() int { return int(order.Uint16(p[10:])) }

// Overflow returns how many pages follow that belong to this one.
func (p Page) Overflow() uint64 { return uint64(order.Uint32(p[12:])) }

// element returns where the i-th element is, and its four numbers.
func (p Page) element(i int) (at uint64, n [4]uint32, err error) {
	at = HeaderSize + uint64(i)*ElementSize
	if at+ElementSize > uint64(len(p)) {
		return 0, n, errTruncated
	}
	for j := range n {
		n[j] = order.Uint32(p[at+4*uint64(j):])
	}
	return at, n, nil
}

// Child returns the i-th element of a branch page: the page that it leads to,
// and the key at which that page begins.
func (p Page) Child(i int) (key []byte, id uint64, err error) {
	at, n, err := p.element(i)
	if err != nil {
		return nil, 0, err
	}
	from := at + uint64(n[0])
	to := from + uint64(n[1])
	if to > uint64(len(p)) {
		return nil, 0, errNowhere
	}
	return p[from:to], order.Uint64(p[at+8:]), nil
}

// Pair returns the i-th element of a leaf page.
func (p Page) Pair(i int) (key, value []byte, isBucket bool, err error) {
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
