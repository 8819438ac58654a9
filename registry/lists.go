package registry

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// ListsOf returns the addresses that the fields of a list manager may mean,
// the likeliest first: List-Post (RFC 2369) tells one plainly; the
// identifier of List-Id (RFC 2919) has a dot where the @ was, nobody knows
// which.
func ListsOf(h hashheader.Header) []string {
	var lists []string
	add := func(address string) {
		if list, err := CheckList(address); err == nil {
			lists = append(lists, list)
		}
	}
	if post, ok := h.First("List-Post"); ok {
		add(mailto(post))
	}
	id := identifier(h)
	for i := range len(id) {
		if id[i] == '.' {
			add(id[:i] + "@" + id[i+1:])
		}
	}
	return lists
}

// mailto returns the address of the first mailto URL in a List-Post field.
func mailto(value string) string {
	const scheme = "<mailto:"
	i := strings.Index(strings.ToLower(value), scheme)
	if i < 0 {
		return ""
	}
	address := value[i+len(scheme):]
	if end := strings.IndexAny(address, ">?"); end >= 0 {
		address = address[:end]
	}
	address, err := url.PathUnescape(address)
	if err != nil {
		return ""
	}
	return address
}

// maxIdentifier bounds a List-Id's identifier (RFC 2919, section 3: 255).
const maxIdentifier = 255

// identifier returns what stands in the angle brackets of List-Id.
func identifier(h hashheader.Header) string {
	value, _ := h.First("List-Id")
	open, end := strings.LastIndexByte(value, '<'), strings.LastIndexByte(value, '>')
	if open < 0 || end < open || end-open > maxIdentifier {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(value[open+1 : end]))
}

// ListID returns the identifier that the list manager wrote if it wrote this
// list's, else the usual one: the address with a dot for the @.
func ListID(h hashheader.Header, list string) string {
	if id := identifier(h); id != "" && slices.Contains(ListsOf(h), list) {
		return id
	}
	return strings.Replace(list, "@", ".", 1)
}

// MatchList tells if a list's address fits a glob pattern of path.Match. Case
// does not count, and no pattern fits an empty address.
func MatchList(pattern, list string) bool {
	ok, _ := path.Match(strings.ToLower(pattern), strings.ToLower(list))
	return ok && list != ""
}
