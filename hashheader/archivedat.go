package hashheader

import (
	"fmt"
	"net/url"
	"strings"
)

// ArchivedAtField is the field that carries a permalink (RFC 5064).
const ArchivedAtField = "Archived-At"

// maxLine is the longest line without its end (RFC 5322, section 2.1.1).
const maxLine = 998

// ArchivedAt composes the value of an Archived-At field. It is folded, with
// LF, only where a line may not hold it whole: MTAs keep a fold's white space
// each in its way, which breaks signatures of DKIM's simple canonicalization.
// URL must be free of white space and angle brackets, as Expand makes it.
func ArchivedAt(url string) string {
	value := "<" + url + ">"
	room := maxLine - len(ArchivedAtField+": ")
	if len(value) <= room {
		return value
	}
	var b strings.Builder
	for len(value) > room {
		b.WriteString(value[:room] + "\n ")
		value, room = value[room:], maxLine-1
	}
	return b.String() + value
}

// ParseArchivedAt returns the URL of an Archived-At field's value, folding
// deleted (RFC 5064, section 2.1).
func ParseArchivedAt(value string) (string, error) {
	text := Stripped(value)
	inner, open := strings.CutPrefix(text, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	if open && closed && isPlainURL(inner) {
		return inner, nil
	}
	if !open || !closed || strings.ContainsAny(inner, "<>") {
		return "", fmt.Errorf("Archived-At %.200q: not one URL in angle brackets (RFC 5064)", value)
	}
	u, err := url.Parse(inner)
	if err != nil || !u.IsAbs() {
		return "", fmt.Errorf("Archived-At %.200q: not an absolute URL", value)
	}
	return inner, nil
}

// isPlainURL reports whether a text is an absolute URL of characters that have
// no special meaning, as nearly all permalinks are. These need no parser.
func isPlainURL(text string) bool {
	rest, ok := strings.CutPrefix(text, "https://")
	if !ok {
		rest, ok = strings.CutPrefix(text, "http://")
	}
	for i := 0; ok && i < len(rest); i++ {
		switch c := rest[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', '-' <= c && c <= '/', c == '@', c == '_':
		default:
			return false
		}
	}
	return ok
}
