package stamp

import (
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// maxLists bounds the lists of one message, each of which costs a call of the
// registry.
const maxLists = 20

// A target is one list of one archive that a message is for.
type target struct {
	archive   *Archive
	list      string // list@host, lower case
	listID    string // RFC 2919
	algorithm hashheader.Algorithm
}

// targets finds the lists that a message is for, archive by archive, and
// reports whether more than maxLists of them were left out. The header is that
// by which they are found.
func (p *Policy) targets(m *Message, header hashheader.Header) (out []target, cut bool) {
	c := candidates{m: m, written: writtenLists(header)}
	var lists []string
	for i := range p.Archives {
		a := &p.Archives[i]
		for _, list := range c.of(a) {
			if !slices.Contains(lists, list) {
				lists = append(lists, list)
			}
			if len(lists) > maxLists {
				return out, true
			}
			out = append(out, target{a, list, listID(header, c.written, list), p.AlgorithmOf(a)})
		}
	}
	return out, false
}

// candidates are the addresses of a message that may be lists.
type candidates struct {
	m       *Message
	written []string
	open    []string // the addresses that the message names openly, once named was called
	isOpen  map[string]bool
}

// of returns the lists of one archive. The first source that names one of them
// counts: the caller, the list manager's fields, the recipients, the fixed
// list of the archive.
func (c *candidates) of(a *Archive) []string {
	if len(c.m.Lists) > 0 {
		return held(a, c.m.Lists)
	}
	if lists := held(a, c.written); len(lists) > 0 {
		return lists[:1]
	}
	if lists := c.recipients(a); len(lists) > 0 {
		return lists
	}
	if a.List != "" {
		return []string{strings.ToLower(a.List)}
	}
	return nil
}

// recipients returns the recipients that the archive holds and that every
// reader of the message may know of: a header field must not reveal a blind
// copy. One recipient alone reveals nothing to others. Mail from the null
// sender is a notice to its recipient, not a post (RFC 5321, section 4.5.5).
func (c *candidates) recipients(a *Archive) []string {
	e := c.m.Envelope
	switch {
	case e == nil:
		return held(a, c.named())
	case e.From == "":
		return nil
	case len(e.To) == 1:
		return held(a, e.To)
	}
	c.named()
	var public []string
	for _, address := range e.To {
		if c.isOpen[strings.ToLower(address)] {
			public = append(public, address)
		}
	}
	return held(a, public)
}

// named returns the addresses that the message names openly, each once.
func (c *candidates) named() []string {
	if c.isOpen != nil {
		return c.open
	}
	c.isOpen = make(map[string]bool)
	for _, address := range addressees(c.m.Header) {
		if !c.isOpen[address] {
			c.isOpen[address] = true
			c.open = append(c.open, address)
		}
	}
	return c.open
}

// held returns the distinct addresses, in lower case, of lists that the
// archive holds. It stops one after maxLists.
func held(a *Archive, addresses []string) (out []string) {
	for _, address := range addresses {
		list, err := hashheader.CheckList(address)
		if err == nil && !slices.Contains(out, list) && a.Holds(list) {
			out = append(out, list)
		}
		if len(out) > maxLists {
			break
		}
	}
	return out
}
