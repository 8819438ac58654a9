package hashheader

import (
	"errors"
	"fmt"
)

// MaxID is the length of the longest canonical Message-ID that names a
// message, in octets: that of a line (RFC 5322, section 2.1.1). MTAs break
// longer ids, each in its own way.
const MaxID = 998

// Errors for messages that have no usable Message-ID.
var (
	ErrLongID = fmt.Errorf("a Message-ID of more than %d octets names no message", MaxID)
	ErrNoID   = errors.New("no Message-ID, and neither From nor Date to derive one from")
)

// MessageID returns the canonical Message-ID: that of the first Message-ID
// field in which an id is left, nil where there is none. It returns ErrLongID
// for one of more than MaxID octets.
func (h Header) MessageID() ([]byte, error) {
	_, id := h.messageID(nil)
	if err := CheckID(id); err != nil {
		return nil, err
	}
	return id, nil
}

// NameID returns the canonical Message-ID that names the message: its own, or
// the one that every host derives for a message without one (see DeriveID). It
// returns ErrLongID, or ErrNoID where none can be derived.
func (h Header) NameID() (canonical []byte, derived bool, err error) {
	canonical, err = h.MessageID()
	if err != nil || len(canonical) > 0 {
		return canonical, false, err
	}
	canonical, derived = DeriveID(h)
	if !derived {
		return nil, false, ErrNoID
	}
	return canonical, true, nil
}

// CheckID returns ErrLongID for a canonical Message-ID of more than MaxID
// octets.
func CheckID(canonical []byte) error {
	if len(canonical) > MaxID {
		return ErrLongID
	}
	return nil
}

// messageID returns the value of the field that MessageID reads, the first
// one's where no id is left in any, and appends the canonical id to dst.
func (h Header) messageID(dst []byte) (value string, canonical []byte) {
	value, _ = h.First(MessageIDField)
	for _, f := range h {
		if !f.Is(MessageIDField) {
			continue
		}
		if canonical = Canonical(dst[:0], f.Value); len(canonical) > 0 {
			return f.Value, canonical
		}
	}
	return value, nil
}
