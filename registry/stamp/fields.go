package stamp

import (
	"net/url"
	"slices"
	"strings"

	"github.com/emersion/go-message/mail"

	"permalink-milter/hashheader"
)

// writtenLists returns the lists that a list manager's fields may name, the
// likeliest first. List-Post (RFC 2369) holds an address. The identifier of
// List-Id (RFC 2919) has a dot in place of the @, and any of its dots may be
// that one.
func writtenLists(h hashheader.Header) []string {
	var lists []string
	add := func(address string) {
		if list, err := hashheader.CheckList(address); err == nil {
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
	value = hashheader.Stripped(value)
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

// maxIdentifier bounds the identifier of List-Id in bytes: the 255 characters
// of RFC 2919, section 3, less one for the dot that stands for an @.
const maxIdentifier = 254

// identifier returns the identifier in the last angle brackets of List-Id, in
// lower case.
func identifier(h hashheader.Header) string {
	value, _ := h.First("List-Id")
	value = hashheader.Stripped(value)
	open, end := strings.LastIndexByte(value, '<'), strings.LastIndexByte(value, '>')
	if open < 0 || end < open || end-open-1 > maxIdentifier {
		return ""
	}
	return strings.ToLower(value[open+1 : end])
}

// ListID returns the identifier of a list (RFC 2919): what the list manager
// wrote for this list, else its address with a dot in place of the @.
func ListID(h hashheader.Header, list string) string {
	return listID(h, writtenLists(h), list)
}

// listID is ListID, where written are the lists that the header names.
func listID(h hashheader.Header, written []string, list string) string {
	if id := identifier(h); id != "" && slices.Contains(written, list) {
		return id
	}
	return strings.Replace(list, "@", ".", 1)
}

// destinations are the fields that name recipients openly.
var destinations = []string{"To", "Cc", "Resent-To", "Resent-Cc"}

// addressees returns the addresses that the destination fields name openly and
// that can be a list's, in lower case. In a field that does not parse, every
// address that is spelled out counts: whoever gets the message can read it.
func addressees(h hashheader.Header) (out []string) {
	for _, f := range h {
		if !slices.ContainsFunc(destinations, f.Is) {
			continue
		}
		for _, address := range addresses(unfold(f.Value)) {
			if list, err := hashheader.CheckList(address); err == nil {
				out = append(out, list)
			}
		}
	}
	return out
}

// addresses returns the addresses of an address list (RFC 5322, section 3.4).
func addresses(value string) (out []string) {
	parsed, err := mail.ParseAddressList(value)
	if err != nil {
		return strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t<>(),;:\"", r) })
	}
	for _, a := range parsed {
		out = append(out, a.Address)
	}
	return out
}

// unfold returns a value on one line (RFC 5322, section 2.2.3).
func unfold(value string) string {
	return strings.NewReplacer("\r", "", "\n", "").Replace(value)
}
