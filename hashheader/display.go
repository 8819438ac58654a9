package hashheader

import (
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/emersion/go-message/charset"
)

// maxDecoded bounds the bytes of a value that Display decodes.
const maxDecoded = 16 << 10

// Display returns the value of an unstructured field, or of an address field,
// as people read it: on one line, its encoded words decoded (RFC 2047) from
// any character set that go-message knows, Printable, and cut to max bytes. A
// value with words in an unknown character set stays undecoded, as RFC 2047,
// section 6.2 allows.
func Display(value string, max int) string {
	text := oneLine(value[:min(len(value), maxDecoded)])
	decoder := mime.WordDecoder{CharsetReader: charsetReader}
	if decoded, err := decoder.DecodeHeader(text); err == nil {
		text = decoded
	}
	return shorten(Printable(strings.TrimSpace(text)), max)
}

// oneLine unfolds a value (RFC 5322, section 2.2.3), and writes tabs as spaces.
func oneLine(value string) string {
	return strings.NewReplacer("\r", "", "\n", "", "\t", " ").Replace(value)
}

// charsetReader converts from a character set, whose name may have a language
// behind it (RFC 2231, section 5).
func charsetReader(name string, input io.Reader) (io.Reader, error) {
	name, _, _ = strings.Cut(name, "*")
	return charset.Reader(name, input)
}

const ellipsis = "…"

// shorten cuts text to max bytes, between characters. An ellipsis shows that
// something is missing.
func shorten(text string, max int) string {
	if len(text) <= max {
		return text
	}
	end := max - len(ellipsis)
	if end < 0 {
		return ""
	}
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + ellipsis
}
