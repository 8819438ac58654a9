package hashheader

import (
	"errors"
	"fmt"
	"strings"
)

// MessageIDField is the name of the field that is hashed.
const MessageIDField = "Message-ID"

// LegacyFields carry the SHA-1 hash under names that do not tell the
// algorithm. They are read; the one with X- is never written.
var LegacyFields = [...]string{"Message-ID-Hash", "X-Message-ID-Hash"}

// ErrMismatch is returned by Verify for a hash of another Message-ID.
var ErrMismatch = errors.New("the hash is not this Message-ID's")

// A Field is one header field: its name without the colon, and the raw bytes
// behind the colon, folds (LF or CRLF, then white space) included.
type Field struct{ Name, Value string }

// Is tells if the field has this name. Case does not count, nor does white
// space before the colon (RFC 5322, section 4.5).
func (f Field) Is(name string) bool {
	return sameName(trimName(f.Name), name)
}

// sameName compares names in either case. Those of another length, nearly all,
// are told at once.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// trimName cuts off the white space before the colon, which hardly any name
// has.
func trimName(name string) string {
	for name != "" && (name[len(name)-1] == ' ' || name[len(name)-1] == '\t') {
		name = name[:len(name)-1]
	}
	return name
}

// A Header is the header section of a message, top down.
type Header []Field

// First returns the value of the first field of this name.
func (h Header) First(name string) (value string, ok bool) {
	for _, f := range h {
		if f.Is(name) {
			return f.Value, true
		}
	}
	return "", false
}

// Count returns how many fields have this name.
func (h Header) Count(name string) int {
	n := 0
	for _, f := range h {
		if f.Is(name) {
			n++
		}
	}
	return n
}

// CanonicalID returns the canonical Message-ID of the first Message-ID field,
// empty where there is none or nothing is left of it.
func (h Header) CanonicalID() []byte {
	value, _ := h.First(MessageIDField)
	return Canonical(nil, value)
}

// FieldAlgorithm tells which hash a field of this name carries: names that
// end in Message-ID- and the algorithm, such as List-Message-ID-MD5, and the
// legacy names (SHA-1).
func FieldAlgorithm(name string) (Algorithm, bool) {
	name = trimName(name)
	for _, legacy := range LegacyFields {
		if sameName(name, legacy) {
			return SHA1, true
		}
	}
	for _, a := range Algorithms {
		prefix, ok := cutSuffixFold(name, a.FieldName())
		if ok && (prefix == "" || strings.HasSuffix(prefix, "-")) {
			return a, true
		}
	}
	return 0, false
}

func cutSuffixFold(s, suffix string) (before string, ok bool) {
	n := len(s) - len(suffix)
	if n < 0 || !strings.EqualFold(s[n:], suffix) {
		return s, false
	}
	return s[:n], true
}

// CheckFieldName returns an error for a name that is not one of ours, so that
// a slip in a configuration cannot make the filter remove other fields.
func CheckFieldName(name string) error {
	if _, ok := FieldAlgorithm(name); !ok {
		return fmt.Errorf("%q does not name a hash: write Message-ID-MD5, Message-ID-SHA1, Message-ID-SHA256, "+
			"one of these behind a prefix such as List-, or Message-ID-Hash", name)
	}
	if strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fmt.Errorf("%q is not a field name: write letters, digits and hyphens", name)
	}
	return nil
}

// CheckEmittedName is CheckFieldName for a field to be written: the X- that
// RFC 6648 retires is refused.
func CheckEmittedName(name string) error {
	if strings.HasPrefix(strings.ToUpper(name), "X-") {
		return fmt.Errorf("%q is never written (RFC 6648): leave out the X-", name)
	}
	return CheckFieldName(name)
}

// Verify checks the value of a hash field against a canonical Message-ID.
// Case and padding do not count. It returns ErrMismatch, ErrFIPS, or why the
// value is no hash.
func Verify(a Algorithm, value string, canonical []byte) error {
	var room [52]byte
	want, err := a.AppendHash(room[:0], canonical)
	if err != nil {
		return err
	}
	// Nearly all values are right and as we write them: a short way for these.
	if trimmed := strings.Trim(value, " \t\r\n"); trimmed == string(want) {
		return nil
	}
	got, err := a.ParseHash(value)
	if err != nil {
		return err
	}
	if got != string(want) {
		return fmt.Errorf("%s %s, want %s: %w", a, got, want, ErrMismatch)
	}
	return nil
}
