package hashheader

import (
	"fmt"
	"net/url"
	"strings"
)

// ArchivedAtField is the field that carries a permalink (RFC 5064).
const ArchivedAtField = "Archived-At"

// Line lengths without the line end (RFC 5322, section 2.1.1): fold where a
// line would be longer than foldAt, and inside a URL only where it must be.
const (
	foldAt  = 78
	maxLine = 998
)

// ArchivedAt composes the value of an Archived-At field, folded with LF where
// it is long. URL must be free of white space and angle brackets, as Expand
// makes it.
func ArchivedAt(url string) string {
	value := "<" + url + ">"
	if len(ArchivedAtField)+len(": ")+len(value) > foldAt {
		return "\n " + foldInside(value)
	}
	return value
}

// foldInside breaks a value that no line may hold whole; RFC 5064 lets FWS
// stand inside the URL, and the reader deletes it.
func foldInside(value string) string {
	var b strings.Builder
	for len(value) > maxLine-1 {
		b.WriteString(value[:maxLine-1] + "\n ")
		value = value[maxLine-1:]
	}
	return b.String() + value
}

// ParseArchivedAt returns the URL of an Archived-At field's value, folding
// deleted (RFC 5064, section 2.1).
func ParseArchivedAt(value string) (string, error) {
	text := string(appendStripped(nil, value))
	inner, open := strings.CutPrefix(text, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	if !open || !closed || strings.ContainsAny(inner, "<>") {
		return "", fmt.Errorf("Archived-At %.200q: not one URL in angle brackets (RFC 5064)", value)
	}
	u, err := url.Parse(inner)
	if err != nil || !u.IsAbs() {
		return "", fmt.Errorf("Archived-At %.200q: not an absolute URL", value)
	}
	return inner, nil
}
