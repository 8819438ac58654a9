package hashheader

import (
	"strings"
	"time"
)

// dateField is the name of the field of RFC 5322, section 3.6.1, among
// IdentityFields.
const dateField = "date"

// dateAdded is the comment (RFC 5322, section 3.2.2) behind a Date that a
// filter added.
const dateAdded = "(added in transit)"

// AddedDate returns the value of the Date field that a filter adds to a message
// without one, so that no MTA or list manager behind it adds a Date that would
// make another message of it. An Identity takes no account of it: the time
// differs from copy to copy.
func AddedDate(t time.Time) string { return t.UTC().Format(time.RFC1123Z) + " " + dateAdded }

// identityValue returns the value of a field as an Identity covers it: the
// first field's, without white space. A Date that a filter added counts as
// missing.
func identityValue(text []byte, h Header, name string) []byte {
	value, _ := h.First(name)
	start := len(text)
	text = appendStripped(text, value)
	if name == dateField && strings.HasSuffix(string(text[start:]), strippedDateAdded) {
		return text[:start]
	}
	return text
}

var strippedDateAdded = string(appendStripped(nil, dateAdded))
