package lmtp

import (
	"fmt"
	"strings"

	"permalink-milter/hashheader"
)

// An Address is a recipient that names a permalink.
type Address struct {
	hashheader.Reference
	Name   string // the list's local part, lower case; may be empty
	Domain string // the archive's host, lower case
}

// ParseAddress reads a recipient without its angle brackets.
func ParseAddress(text string) (Address, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return Address{}, noAddress(text)
	}
	reference, name, listed := strings.Cut(text[:at], "+")
	a := Address{Name: strings.ToLower(name), Domain: strings.ToLower(text[at+1:])}
	var err error
	if a.Reference, err = hashheader.ParseReference(reference); err != nil || listed && name == "" {
		return Address{}, noAddress(text)
	}
	// The rule for a list's address keeps spaces, quotes and control characters
	// out of replies.
	if _, err := hashheader.CheckList("x" + a.Name + "@" + a.Domain); err != nil {
		return Address{}, noAddress(text)
	}
	return a, nil
}

func noAddress(text string) error {
	return fmt.Errorf("%.80q: not a permalink: write token@archive-host or token+listname@archive-host", text)
}

// String returns the address as RCPT takes it between its angle brackets.
func (a Address) String() string {
	local := a.Reference.String()
	if a.Name != "" {
		local += "+" + a.Name
	}
	return local + "@" + a.Domain
}

// at returns the address of another ordinal of the hash.
func (a Address) at(ordinal int) Address {
	a.Ordinal = ordinal
	return a
}

// algorithm returns the algorithm of the hash. ParseAddress checked that there
// is one.
func (a Address) algorithm() hashheader.Algorithm {
	algorithm, _ := hashheader.HashAlgorithm(a.Hash)
	return algorithm
}

// suggestion returns the recipient that a reply's text names: the last address
// in angle brackets that differs from a in nothing but the ordinal. The text
// comes from the server, so anything else in it is ignored.
func (a Address) suggestion(text string) (Address, bool) {
	for rest := text; ; {
		open := strings.LastIndexByte(rest, '<')
		if open < 0 {
			return a, false
		}
		inner, _, closed := strings.Cut(rest[open+1:], ">")
		found, err := ParseAddress(inner)
		if closed && err == nil && found.at(a.Ordinal) == a {
			return found, true
		}
		rest = rest[:open]
	}
}
