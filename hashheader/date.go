package hashheader

import (
	"bytes"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// dateForm is the date-time of RFC 5322, section 3.3, with the zone names and
// the short years of section 4.3. It has groups for the day, the month, the
// year, the hour, the minute, the second, and the zone: sign, hours and
// minutes, or a name. The name of the day has no meaning, nor has what stands
// behind the zone, as a comment.
var dateForm = regexp.MustCompile(strings.ReplaceAll(
	`^ *(?:[A-Za-z]+, *)?([0-9]{1,2}) +([A-Za-z]{3}) +([0-9]{2,4}) +([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))? +(?:([+-])([0-9]{2})([0-9]{2})|([A-Za-z]+))(?: |\(|$)`,
	` `, `[ \t\r\n]`))

var months = []string{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"}

// zones are the offsets of the zone names, in hours. Other names are UTC
// (RFC 5322, section 4.3).
var zones = map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}

// ParseDate returns the moment that a Date field names, in UTC. It reports false
// for what it cannot read, for years outside 1900 to 9999, and for a Date that a
// filter added, which differs from copy to copy. Package net/mail is not used:
// its answer for a name such as EST depends on the zone of the host.
func ParseDate(value string) (at time.Time, ok bool) {
	m := dateForm.FindStringSubmatch(value)
	if m == nil || isAddedDate(appendStripped(nil, value)) {
		return at, false
	}
	n := func(i int) int { v, _ := strconv.Atoi(m[i]); return v } // digits, or nothing
	month := 1 + slices.Index(months, strings.ToLower(m[2]))
	local := time.Date(fullYear(m[3]), time.Month(month), n(1), n(4), n(5), 0, 0, time.UTC)
	if month == 0 || local.Day() != n(1) || local.Hour() != n(4) || local.Minute() != n(5) || n(6) > 60 || n(9) > 59 {
		return at, false // no such month, day or time
	}
	offset := time.Duration(n(8))*time.Hour + time.Duration(n(9))*time.Minute
	if m[7] == "-" {
		offset = -offset
	}
	offset += time.Duration(zones[strings.ToUpper(m[10])]) * time.Hour
	at = local.Add(time.Duration(n(6))*time.Second - offset)
	return at, at.Year() >= 1900 && at.Year() <= 9999
}

// fullYear reads a year; those of two and three digits by RFC 5322, section
// 4.3.
func fullYear(digits string) int {
	year, _ := strconv.Atoi(digits)
	switch {
	case len(digits) == 2 && year < 50:
		return 2000 + year
	case len(digits) < 4:
		return 1900 + year
	}
	return year
}

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
	if name == dateField && isAddedDate(text[start:]) {
		return text[:start]
	}
	return text
}

// isAddedDate reports whether a Date without its white space is one that a
// filter added.
func isAddedDate(stripped []byte) bool { return bytes.HasSuffix(stripped, strippedDateAdded) }

var strippedDateAdded = appendStripped(nil, dateAdded)
