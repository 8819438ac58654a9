package lmtp

import (
	"errors"
	"fmt"
	"strings"

	"permalink-milter/hashheader"
)

// The digits of a claim. Eight tell apart the messages of one hash, and keep
// the local part of a SHA-256 token within 64 octets (RFC 5321, section
// 4.5.3.1.1).
const (
	minClaim = 8
	maxClaim = 32
)

// ErrNoPermalink is returned by ParseAddress for what is no recipient of an
// archive.
var ErrNoPermalink = errors.New("not a permalink: write token@archive-host or token+listname@archive-host")

// An Address is a recipient that names a permalink.
type Address struct {
	Hash    string // base32, upper case
	Ordinal int    // 1 for the bare hash
	Claim   string // lower-case hexadecimal digits, may be empty
	Name    string // the list's local part, lower case; may be empty
	Domain  string // the archive's host, lower case
}

// ParseAddress reads a recipient without its angle brackets.
func ParseAddress(text string) (Address, error) {
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return Address{}, fmt.Errorf("%.80q: %w", text, ErrNoPermalink)
	}
	a := Address{Domain: strings.ToLower(text[at+1:])}
	permalink, name, listed := strings.Cut(text[:at], "+")
	token, claim, claimed := strings.Cut(permalink, "=")
	var err error
	if a.Hash, a.Ordinal, err = hashheader.ParseToken(token); err != nil {
		return Address{}, fmt.Errorf("%.80q: %w", text, ErrNoPermalink)
	}
	a.Claim, a.Name = strings.ToLower(claim), strings.ToLower(name)
	if claimed && !isClaim(a.Claim) || listed && a.Name == "" {
		return Address{}, fmt.Errorf("%.80q: %w", text, ErrNoPermalink)
	}
	// The registry's rule for a list keeps spaces, quotes and control
	// characters out of replies.
	if _, err := hashheader.CheckList("x" + a.Name + "@" + a.Domain); err != nil {
		return Address{}, fmt.Errorf("%.80q: %w", text, ErrNoPermalink)
	}
	return a, nil
}

func isClaim(s string) bool {
	return len(s) >= minClaim && len(s) <= maxClaim && strings.Trim(s, "0123456789abcdef") == ""
}

// Token returns the variable part of the permalink.
func (a Address) Token() string { return hashheader.Token(a.Hash, a.Ordinal) }

// String returns the address as RCPT takes it between its angle brackets.
func (a Address) String() string {
	local := a.Token()
	if a.Claim != "" {
		local += "=" + a.Claim
	}
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

// claims tells if the sender says that it has the message of this identity.
func (a Address) claims(id hashheader.Identity) bool {
	return a.Claim != "" && strings.HasPrefix(id.String(), a.Claim)
}

// algorithm returns the algorithm of the hash. ParseAddress checked that there
// is one.
func (a Address) algorithm() hashheader.Algorithm {
	algorithm, _ := hashheader.HashAlgorithm(a.Hash)
	return algorithm
}

// suggestion finds the token that a reply's text names: the last address in
// angle brackets that is a itself but for the ordinal. The text is the
// server's, so anything else in it is ignored.
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
