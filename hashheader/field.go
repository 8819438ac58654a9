package hashheader

import (
	"errors"
	"fmt"
	"strings"
)

// MessageIDField is the name of the field that is hashed.
const MessageIDField = "Message-ID"

// LegacyFields are Mailman's names for the SHA-1 hash. Both are verified; the
// one with X- is never written.
var LegacyFields = [...]string{"Message-ID-Hash", "X-Message-ID-Hash"}

// ErrMismatch is returned by Verify for the hash of another Message-ID.
var ErrMismatch = errors.New("the hash is of another Message-ID")

// A Field is one header field: its name without the colon, and the bytes
// behind the colon, folds (LF or CRLF, then white space) included.
type Field struct{ Name, Value string }

// Is reports whether the field has this name. It ignores case, and white space
// before the colon (RFC 5322, section 4.5).
func (f Field) Is(name string) bool {
	return sameName(trimName(f.Name), name)
}

// sameName compares names without case. It compares lengths first, which
// differ for nearly all names.
func sameName(a, b string) bool { return len(a) == len(b) && strings.EqualFold(a, b) }

// trimName cuts off white space before the colon.
func trimName(name string) string {
	for name != "" && (name[len(name)-1] == ' ' || name[len(name)-1] == '\t') {
		name = name[:len(name)-1]
	}
	return name
}

// A Header is the fields of a header section, from the top.
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

// FieldAlgorithm returns the algorithm of the hash that a field of this name
// carries. Such names end in Message-ID- and the algorithm, as
// List-Message-ID-MD5 does, or are among LegacyFields.
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

// CheckFieldName returns an error for a name that is not a hash field's, so
// that a slip in a configuration cannot make the filter remove other fields.
func CheckFieldName(name string) error {
	if _, ok := FieldAlgorithm(name); !ok {
		return fmt.Errorf("%q does not name a hash: write Message-ID-MD5, Message-ID-SHA1, Message-ID-SHA256, "+
			"one of these behind a prefix such as List-, or Message-ID-Hash", name)
	}
	if strings.Trim(name, letterDigitHyphen) != "" {
		return fmt.Errorf("%q is not a field name: write letters, digits and hyphens", name)
	}
	return nil
}

// CheckEmittedName is CheckFieldName for a field to be written. It refuses X-,
// which RFC 6648 retired, and returns ErrFIPS, wrapped, where the algorithm must
// not be used.
func CheckEmittedName(name string) error {
	if strings.HasPrefix(strings.ToUpper(name), "X-") {
		return fmt.Errorf("%q is never written (RFC 6648): leave out the X-", name)
	}
	if err := CheckFieldName(name); err != nil {
		return err
	}
	a, _ := FieldAlgorithm(name)
	return a.Allowed()
}

// Verify checks the value of a hash field against a canonical Message-ID. It
// ignores case and padding. It returns ErrMismatch, ErrFIPS, or why the value
// is not a hash.
func Verify(a Algorithm, value string, canonical []byte) error {
	var room [52]byte
	want, err := a.AppendHash(room[:0], canonical)
	if err != nil {
		return err
	}
	// Nearly all values are right and spelled as we write them.
	if trimmed := trimSpace(value); trimmed == string(want) {
		return nil
	}
	got, err := a.ParseHash(value)
	if err != nil {
		return err
	}
	if got != string(want) {
		return fmt.Errorf("%s %s, want %s: %w", a, got, string(want), ErrMismatch)
	}
	return nil
}
