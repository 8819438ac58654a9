package guard

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"permalink-milter/registry"
)

// segmentHeader begins each segment file; its last byte is the version of the
// format.
const segmentHeader = "plinkjn\x01"

// maxPayload bounds a record's payload in bytes: well above what the longest
// list and hash need, so that a damaged length is seen as such.
const maxPayload = 512

// shareBit is set in a record's first byte for Request.Share.
const shareBit = 0x01

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A record is one journalled request.
type record struct {
	registry.Request
	at time.Time // when it was journalled, to the second
}

// appendRecord appends the stored form of a record: the length of the payload
// and its CRC-32C, 4 bytes each, little-endian; then the payload: a byte
// (bit 0: share), Unix seconds as a uvarint, the 16 bytes of the identity, and
// list and hash, each as a uvarint length and bytes. Uvarints are LEB128.
func appendRecord(dst []byte, r record) []byte {
	head := len(dst)
	dst = append(dst, make([]byte, 8)...)
	var flags byte
	if r.Share {
		flags = shareBit
	}
	dst = append(dst, flags)
	dst = binary.AppendUvarint(dst, uint64(r.at.Unix()))
	dst = append(dst, r.Identity[:]...)
	for _, s := range []string{r.List, r.Hash} {
		dst = append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	}
	payload := dst[head+8:]
	binary.LittleEndian.PutUint32(dst[head:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(dst[head+4:], crc32.Checksum(payload, castagnoli))
	return dst
}

// decodeRecord takes the first record off data and returns its length in
// bytes; 0 where no whole and sound record stands there.
func decodeRecord(data []byte) (r record, n int) {
	if len(data) < 8 {
		return record{}, 0
	}
	size := binary.LittleEndian.Uint32(data)
	if size > maxPayload || int(size) > len(data)-8 {
		return record{}, 0
	}
	payload := data[8 : 8+size]
	if crc32.Checksum(payload, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return record{}, 0
	}
	r, ok := decodePayload(payload)
	if !ok {
		return record{}, 0
	}
	return r, 8 + int(size)
}

func decodePayload(p []byte) (r record, ok bool) {
	if len(p) == 0 || p[0]&^shareBit != 0 {
		return record{}, false
	}
	r.Share = p[0] == shareBit
	seconds, n := binary.Uvarint(p[1:])
	if n <= 0 {
		return record{}, false
	}
	r.at = time.Unix(int64(seconds), 0).UTC()
	p = p[1+n:]
	if len(p) < len(r.Identity) {
		return record{}, false
	}
	p = p[copy(r.Identity[:], p):]
	r.List, p, ok = cutString(p)
	if !ok {
		return record{}, false
	}
	r.Hash, p, ok = cutString(p)
	return r, ok && len(p) == 0
}

// cutString takes a string off p, as uvarint length and bytes.
func cutString(p []byte) (s string, rest []byte, ok bool) {
	size, n := binary.Uvarint(p)
	if n <= 0 || size > uint64(len(p)-n) {
		return "", nil, false
	}
	p = p[n:]
	return string(p[:size]), p[size:], true
}

// soundRecords returns the sound records of a segment's data behind its
// header, with how many they are, and how many bytes of other things stand
// before the last of them and behind it. A record is found again behind a
// damaged one by its sum.
func soundRecords(data []byte) (sound []byte, records, damaged, torn int) {
	for at := 0; at < len(data); {
		_, n := decodeRecord(data[at:])
		if n == 0 {
			torn++
			at++
			continue
		}
		sound = append(sound, data[at:at+n]...)
		records++
		damaged += torn
		torn = 0
		at += n
	}
	return sound, records, damaged, torn
}
