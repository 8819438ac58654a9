package milter

import (
	"slices"
	"strings"

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
	written := registry.ListsOf(m.Header)
	var out []target
	for i := range p.Archives {
		a := &p.Archives[i]
		for _, list := range a.listsOf(written, m.Recipients) {
			out = append(out, target{a, list, registry.ListID(m.Header, list)})
		}
	}
	return out
}

func (a *ArchivePolicy) listsOf(written, recipients []string) []string {
	for _, list := range written {
		if a.Holds(list) {
			return []string{list}
		}
	}
	var lists []string
	for _, rcpt := range recipients {
		list, err := registry.CheckList(rcpt)
		if err == nil && a.Holds(list) && !slices.Contains(lists, list) {
			lists = append(lists, list)
		}
	}
	if len(lists) == 0 && a.List != "" {
		return []string{strings.ToLower(a.List)}
	}
	return lists
}

// Holds tells if one of the archive's patterns fits a list.
func (a *ArchivePolicy) Holds(list string) bool {
	return slices.ContainsFunc(a.Lists, func(pattern string) bool { return registry.MatchList(pattern, list) })
}
