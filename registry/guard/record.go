package guard

import (
	"encoding/binary"
	"errors"
	"time"

	"permalink-milter/registry"
)

// shareBit is set in the first byte of a record for Request.Share.
const shareBit = 0x01

var errRecord = errors.New("it is not a reservation of this version")

// A record is one journalled request.
type record struct {
	registry.Request
	at time.Time // when it was journalled, to the second
}

// encode returns the form of a record in the journal: a byte (bit 0: share),
// Unix seconds as a uvarint, the 16 bytes of the identity, and list and hash,
// each as a uvarint length and bytes. Uvarints are LEB128.
func (r record) encode() []byte {
	var flags byte
	if r.Share {
		flags = shareBit
	}
	data := binary.AppendUvarint([]byte{flags}, uint64(r.at.Unix()))
	data = append(data, r.Identity[:]...)
	for _, s := range []string{r.List, r.Hash} {
		data = append(binary.AppendUvarint(data, uint64(len(s))), s...)
	}
	return data
}

// decodeRecord reads what encode wrote.
func decodeRecord(data []byte) (r record, err error) {
	if len(data) == 0 || data[0]&^shareBit != 0 {
		return record{}, errRecord
	}
	r.Share = data[0] == shareBit
	seconds, n := binary.Uvarint(data[1:])
	if n <= 0 {
		return record{}, errRecord
	}
	r.at = time.Unix(int64(seconds), 0).UTC()
	data = data[1+n:]
	if len(data) < len(r.Identity) {
		return record{}, errRecord
	}
	data = data[copy(r.Identity[:], data):]
	var okList, okHash bool
	r.List, data, okList = cutString(data)
	r.Hash, data, okHash = cutString(data)
	if !okList || !okHash || len(data) > 0 {
		return record{}, errRecord
	}
	return r, nil
}

// cutString cuts a string off the front of data.
func cutString(data []byte) (s string, rest []byte, ok bool) {
	size, n := binary.Uvarint(data)
	if n <= 0 || size > uint64(len(data)-n) {
		return "", nil, false
	}
	data = data[n:]
	return string(data[:size]), data[size:], true
}
