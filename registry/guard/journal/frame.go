package journal

import (
	"encoding/binary"
	"hash/crc32"
)

// segmentHeader begins each segment. Its last byte is the version of the
// format.
const segmentHeader = "plinkjn\x01"

// MaxRecord is the length in bytes of the longest record. It is low so that a
// damaged length is recognized as such.
const MaxRecord = 512

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends the stored form of a record.
func appendFrame(dst, record []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(record)))
	dst = binary.LittleEndian.AppendUint32(dst, crc32.Checksum(record, castagnoli))
	return append(dst, record...)
}

// cutFrame returns the record at the beginning of data and the length of its
// stored form, 0 if there is not a whole and sound one.
func cutFrame(data []byte) (record []byte, n int) {
	if len(data) < 8 {
		return nil, 0
	}
	size := binary.LittleEndian.Uint32(data)
	if size == 0 || size > MaxRecord || int(size) > len(data)-8 {
		return nil, 0
	}
	record = data[8 : 8+size]
	if crc32.Checksum(record, castagnoli) != binary.LittleEndian.Uint32(data[4:]) {
		return nil, 0
	}
	return record, 8 + int(size)
}

// soundFrames returns the sound records of a segment's data behind its header
// and their number. Damaged is how many other bytes stand before the last of
// them, torn how many stand behind it. A record behind a damaged one is found
// by its checksum.
func soundFrames(data []byte) (sound []byte, records, damaged, torn int) {
	for at := 0; at < len(data); {
		_, n := cutFrame(data[at:])
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
