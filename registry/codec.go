package registry

import (
	"encoding/binary"
	"fmt"
	"slices"

	"permalink-milter/hashheader"
)

// codecVersion is the first byte of an encoded entry.
const codecVersion = 1

// The bits of the first byte of a slot beside its state.
const (
	stateBits   = 0x03
	hasExpires  = 0x04
	hasURL      = 0x08
	hasSubject  = 0x10
	hasBody     = 0x20
	unknownBits = ^byte(stateBits | hasExpires | hasURL | hasSubject | hasBody)
)

// reservedSize is the usual size of a slot that is reserved.
const reservedSize = 1 + len(hashheader.Identity{}) + 5 + 5

// MaxEncoded is the length in bytes of the longest entry that AppendBinary
// writes: each slot has all there is, at its longest. A store that others may
// write to need not read more.
const MaxEncoded = 1 + hashheader.MaxOrdinal*(1+len(hashheader.Identity{})+2*6+2+maxURL+2+maxSubject+len(Body{}))

// lastTime is the last second of the year 9999, in Unix seconds. RFC 3339, in
// which reservations are listed and exported, has none behind it.
const lastTime = 253402300799

// AppendBinary appends the stored form of an entry: a version byte (1), then
// the slots in order of the ordinals. A slot begins with a byte whose two low
// bits are the state (0 vacant, 1 reserved, 2 archived); bit 2 is set if an
// expiry follows, bit 3 if a URL does, bit 4 if a subject does, bit 5 if a body
// does. Unless the slot is vacant, the 16 bytes of the identity follow, Since
// as a uvarint of Unix seconds, the expiry as another, URL and subject as a
// uvarint length and bytes each, and the 16 bytes of the body. Releases before
// bit 5 report a slot that has it as corrupt. Uvarints are LEB128, as in
// encoding/binary and protobuf.
func (e Entry) AppendBinary(dst []byte) []byte {
	dst = append(slices.Grow(dst, 1+reservedSize*len(e.Slots)), codecVersion)
	for _, s := range e.Slots {
		dst = s.appendBinary(dst)
	}
	return dst
}

func (s Slot) appendBinary(dst []byte) []byte {
	head := len(dst)
	dst = append(dst, byte(s.State))
	if s.State == Vacant {
		return dst
	}
	dst = append(dst, s.Identity[:]...)
	dst = binary.AppendUvarint(dst, uint64(s.Since))
	if s.Expires != 0 {
		dst[head] |= hasExpires
		dst = binary.AppendUvarint(dst, uint64(s.Expires))
	}
	if s.URL != "" {
		dst[head] |= hasURL
		dst = append(binary.AppendUvarint(dst, uint64(len(s.URL))), s.URL...)
	}
	if s.Subject != "" {
		dst[head] |= hasSubject
		dst = append(binary.AppendUvarint(dst, uint64(len(s.Subject))), s.Subject...)
	}
	if s.Body != (Body{}) {
		dst[head] |= hasBody
		dst = append(dst, s.Body[:]...)
	}
	return dst
}

// DecodeEntry reads what AppendBinary wrote. It returns an empty entry for no
// data.
func DecodeEntry(data []byte) (Entry, error) {
	if len(data) == 0 {
		return Entry{}, nil
	}
	if data[0] != codecVersion {
		return Entry{}, fmt.Errorf("%w: version %d: a newer permalink-milter wrote it; this one reads version %d", ErrCorrupt, data[0], codecVersion)
	}
	var e Entry
	r := reader{data[1:], nil}
	for len(r.rest) > 0 && len(e.Slots) < hashheader.MaxOrdinal {
		before := len(r.rest)
		s := r.slot()
		if e.Slots == nil { // the others are about as long as the first
			likely := 1 + len(r.rest)/(before-len(r.rest))
			e.Slots = make([]Slot, 0, min(likely, hashheader.MaxOrdinal))
		}
		e.Slots = append(e.Slots, s)
	}
	if r.err != nil || len(r.rest) > 0 {
		return Entry{}, ErrCorrupt
	}
	return e, nil
}

// A reader cuts values off the front of rest. It keeps its first error.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) slot() Slot {
	head := r.bytes(1)
	if r.err != nil {
		return Slot{}
	}
	bits := head[0]
	s := Slot{State: State(bits & stateBits)}
	if s.State > Archived || bits&unknownBits != 0 || s.State == Vacant && bits != 0 {
		r.fail()
	}
	if s.State == Vacant {
		return s
	}
	copy(s.Identity[:], r.bytes(uint64(len(s.Identity))))
	s.Since = r.time()
	if bits&hasExpires != 0 {
		s.Expires = r.time()
	}
	if bits&hasURL != 0 {
		s.URL = string(r.bytes(r.uvarint()))
	}
	if bits&hasSubject != 0 {
		s.Subject = string(r.bytes(r.uvarint()))
	}
	if bits&hasBody != 0 {
		copy(s.Body[:], r.bytes(uint64(len(s.Body))))
	}
	return s
}

func (r *reader) fail() { r.err, r.rest = ErrCorrupt, nil }

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	var b []byte
	b, r.rest = r.rest[:n], r.rest[n:]
	return b
}

func (r *reader) time() int64 {
	v := r.uvarint()
	if v > lastTime {
		r.fail()
	}
	return int64(v)
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}
