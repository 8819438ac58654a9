package doors

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// An aspect is one thing that a door says of a message.
type aspect string

const (
	own      aspect = "own id"   // found, none, too long, or over the bound
	name     aspect = "name"     // by its own id, derived, none, too long, or over the bound
	id       aspect = "id"       // the canonical id that names it
	md5      aspect = "MD5"      // of id
	sha1     aspect = "SHA-1"    // of id
	identity aspect = "identity" // by Message-ID and Date
	lists    aspect = "lists"    // that it is for, sorted
	links    aspect = "links"    // Archived-At, sorted
	devel    aspect = "link of devel"
)

// The values of own and name.
const (
	found   = "found"
	derived = "derived"
	none    = "none"
	tooLong = "too long"
	over    = "over the bound"
)

// An answer is what a door says of a message; what it does not say is not in
// it. A door that cannot be given the message has a nil answer.
type answer map[aspect]string

// unnamed returns the answer for a message that has no name.
func unnamed(why string) answer { return answer{own: why, name: why} }

// because returns the answer of a door that refuses a message with this text.
func because(text string) answer {
	switch {
	case strings.Contains(text, hashheader.ErrSectionTooBig.Error()):
		return unnamed(over)
	case strings.Contains(text, hashheader.ErrLongID.Error()):
		return unnamed(tooLong)
	case strings.Contains(text, hashheader.ErrNoID.Error()):
		return unnamed(none)
	}
	return answer{name: "refused: " + text}
}

// setName sets own and name.
func (a answer) setName(isDerived bool) {
	a[own], a[name] = found, found
	if isDerived {
		a[own], a[name] = none, derived
	}
}

// setID sets the id as JSON and HTML can carry it: with U+FFFD in place of
// bytes that are not UTF-8, and of NUL. The hashes are of the true bytes.
func (a answer) setID(canonical string) {
	var carried string
	text, _ := json.Marshal(canonical) // a string always can be
	_ = json.Unmarshal(text, &carried)
	a[id] = strings.ReplaceAll(carried, "\x00", "\ufffd")
}

// setLinks sets the permalinks, and the lists that they show.
func (a answer) setLinks(urls []string) {
	a[links] = sorted(urls, " ")
	var shown []string
	for _, url := range urls {
		if list, _, ok := strings.Cut(strings.TrimPrefix(url, tokenSite), "/"); ok && strings.HasPrefix(url, tokenSite) {
			shown = append(shown, list)
		}
	}
	a[lists] = sorted(shown, " ")
}

func sorted(values []string, separator string) string {
	return strings.Join(slices.Sorted(slices.Values(values)), separator)
}

// stamped returns the answer of a door that adds fields to a message: before
// and after are its fields.
func stamped(before, after hashheader.Header) answer {
	hash, ok := after.First("Message-ID-MD5")
	if !ok {
		return unnamed(tooLong)
	}
	a := answer{}
	canonical, had := idOf(after), idOf(before)
	a.setName(had == "")
	if had == "" && !derivedID.MatchString(canonical) {
		return unnamed(none) // a door that has to stamp it makes an id of its own
	}
	a.setID(canonical)
	hash1, _ := after.First("Message-ID-SHA1")
	a[md5], a[sha1] = strings.TrimSpace(hash), strings.TrimSpace(hash1)
	for _, field := range []string{"Message-ID-MD5", "Message-ID-SHA1"} {
		if n := after.Count(field); n != 1 {
			a[name] = fmt.Sprintf("%d fields %s", n, field)
		}
	}
	var urls []string
	for _, f := range after {
		if url := strings.Trim(f.Value, "<> \t\n"); f.Is("Archived-At") && isOurs(url) {
			urls = append(urls, url)
		}
	}
	a.setLinks(urls)
	return a
}

var derivedID = regexp.MustCompile(`\A[A-Z2-7]{26}\.derived@`)

// idOf returns the canonical id of the first Message-ID field in which one is
// left.
func idOf(h hashheader.Header) string {
	for _, f := range h {
		if !strings.EqualFold(f.Name, "Message-ID") {
			continue
		}
		bare := strings.Join(strings.FieldsFunc(f.Value, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }), "")
		if inner, ok := strings.CutPrefix(bare, "<"); ok && strings.HasSuffix(inner, ">") {
			bare = strings.TrimSuffix(inner, ">")
		}
		if bare != "" {
			return bare
		}
	}
	return ""
}
