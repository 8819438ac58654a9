package milter

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A target is one list of one archive that a message belongs to.
type target struct {
	archive *ArchivePolicy
	list    string // list@host, lower case
	listID  string // RFC 2919
}

// targets finds the archives that a message is for. For each, the first that
// fits counts: what the list manager wrote, the envelope, a fixed list.
func (p *Policy) targets(m *Message) []target {
	written := writtenLists(m.Header)
	var out []target
	for i := range p.Archives {
		a := &p.Archives[i]
		for _, list := range a.listsOf(written, m.Recipients) {
			out = append(out, target{a, list, listID(m.Header, list, written)})
		}
	}
	return out
}

func (a *ArchivePolicy) listsOf(written, recipients []string) []string {
	for _, list := range written {
		if a.holds(list) {
			return []string{list}
		}
	}
	var lists []string
	for _, rcpt := range recipients {
		list, err := registry.CheckList(rcpt)
		if err == nil && a.holds(list) && !slices.Contains(lists, list) {
			lists = append(lists, list)
		}
	}
	if len(lists) == 0 && a.List != "" {
		return []string{strings.ToLower(a.List)}
	}
	return lists
}

func (a *ArchivePolicy) holds(list string) bool {
	for _, pattern := range a.Lists {
		if ok, _ := path.Match(strings.ToLower(pattern), list); ok {
			return true
		}
	}
	return false
}

// writtenLists returns the addresses that the fields of a list manager may
// mean, the likeliest first: List-Post (RFC 2369) tells one plainly; the
// identifier of List-Id (RFC 2919) has a dot where the @ was, nobody knows
// which.
func writtenLists(h hashheader.Header) []string {
	var lists []string
	add := func(address string) {
		if list, err := registry.CheckList(address); err == nil {
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

// listID returns the identifier that the list manager wrote if it wrote this
// list's, else the usual one: the address with a dot for the @.
func listID(h hashheader.Header, list string, written []string) string {
	if id := identifier(h); id != "" && slices.Contains(written, list) {
		return id
	}
	return strings.Replace(list, "@", ".", 1)
}
