package hashheader

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// An Identity distinguishes messages that have the same hash. It is the first
// 128 bits of a SHA-256 over originator fields.
type Identity [16]byte

// String returns the identity as 32 hexadecimal digits.
func (id Identity) String() string { return hex.EncodeToString(id[:]) }

// Claim returns the shortest claim of a message with this identity: what a
// Reference has behind its hash, and a template writes for {claim}.
func (id Identity) Claim() string { return id.String()[:MinClaim] }

// ParseIdentity reads what String returns.
func ParseIdentity(s string) (id Identity, err error) {
	if len(s) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("identity %.80q: %d characters, want 32 hexadecimal digits", s, len(s))
	}
	_, err = hex.Decode(id[:], []byte(s))
	return id, err
}

// IdentityFields lists the fields that an identity may cover, in the order in
// which they are digested.
var IdentityFields = []string{"from", "to", "cc", "date", "message-id", "subject"}

// Identify digests the named fields (of IdentityFields, in any order) of a
// message with this header and canonical Message-ID. For each field, in the
// order of IdentityFields, the digest takes the lower-case name, a colon, the
// first field's value without its white space (refolding changes nothing),
// and LF. A missing field counts as empty, and so does an AddedDate.
func Identify(h Header, canonical []byte, fields []string) Identity {
	var room [512]byte
	text := room[:0]
	for _, name := range IdentityFields {
		if !slices.Contains(fields, name) {
			continue
		}
		text = append(append(text, name...), ':')
		if name == "message-id" {
			text = append(text, canonical...)
		} else {
			text = identityValue(text, h, name)
		}
		text = append(text, '\n')
	}
	sum := sha256.Sum256(text)
	return Identity(sum[:16])
}

// derivedFields are the fields that a Message-ID is derived from: those of the
// originator, which are the same on every path of the message.
var derivedFields = []string{"from", "to", "cc", "date", "subject"}

// DeriveID returns a canonical Message-ID for a message without one. It digests
// the originator fields alone, so that every host derives the same. It reports
// false where both From and Date are missing or empty, since what is left does
// not distinguish messages.
func DeriveID(h Header) (canonical []byte, ok bool) {
	if len(identityValue(identityValue(nil, h, "from"), h, dateField)) == 0 {
		return nil, false
	}
	from, _ := h.First("from")
	sum := Identify(h, nil, derivedFields)
	hash := base32Hash.EncodeToString(sum[:])
	return []byte(hash + ".derived@" + originDomain(from)), true
}

// originDomain returns the domain of the last address in a From field, for the
// right side of a derived id, or derived.invalid (RFC 6761) where it finds no
// plain domain. It deletes white space first, since relays refold From.
func originDomain(from string) string {
	from = strings.TrimSuffix(string(appendStripped(nil, from)), ">")
	domain := from[strings.LastIndexByte(from, '@')+1:]
	if domain == from || len(domain) > 253 {
		return "derived.invalid"
	}
	for label := range strings.SplitSeq(domain, ".") {
		if label == "" || strings.Trim(label, letterDigitHyphen) != "" {
			return "derived.invalid"
		}
	}
	return strings.ToLower(domain)
}

// letterDigitHyphen are the characters of a domain's labels (RFC 5890,
// section 2.3.1), of keywords, and of our fields' names.
const letterDigitHyphen = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
