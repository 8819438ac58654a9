package hashheader

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns text with everything spelled out that has no appearance of
// its own: control and formatting characters as \u202e, bytes that are not
// UTF-8 as \xfc. Those could move the cursor of a terminal, reverse the order
// in which text is read, or hide part of it.
func Printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && isInvalid(text[i:]):
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case isVisible(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// isInvalid reports whether text begins with a byte that is not UTF-8. U+FFFD
// itself is valid.
func isInvalid(text string) bool {
	_, size := utf8.DecodeRuneInString(text)
	return size == 1
}

// The joiners are formatting characters that Persian, the Indic scripts and
// composed emoji cannot be written without.
const (
	zeroWidthNonJoiner = '\u200c'
	zeroWidthJoiner    = '\u200d'
)

func isVisible(r rune) bool {
	return unicode.IsGraphic(r) || r == zeroWidthNonJoiner || r == zeroWidthJoiner
}
