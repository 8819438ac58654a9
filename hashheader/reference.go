package hashheader

import (
	"fmt"
	"strings"
)

// The hexadecimal digits of a claim. Eight distinguish the messages of one
// hash, and keep the local part of a SHA-256 token within 64 octets (RFC 5321,
// section 4.5.3.1.1).
const (
	MinClaim = 8
	MaxClaim = 32
)

// A Reference names a message as its finder does: by a token, or by a hash and
// a claim, HASH=CLAIM. The claim is the beginning of the message's Identity, so
// anyone who has the message can compute it, and it finds that message whatever
// other message was first.
type Reference struct {
	Hash    string // base32, upper case
	Ordinal int    // 1 for the bare hash
	Claim   string // lower-case hexadecimal digits, or empty
}

// ParseReference reads HASH, HASH-2 or either with =CLAIM behind it, in either
// case. Its errors wrap ErrInvalid.
func ParseReference(text string) (r Reference, err error) {
	token, claim, claimed := strings.Cut(text, "=")
	r.Hash, r.Ordinal, err = ParseToken(token)
	if err != nil {
		return Reference{}, err
	}
	r.Claim = strings.ToLower(claim)
	if claimed && !isClaim(r.Claim) {
		return Reference{}, fmt.Errorf("%w claim %.80q: write %d to %d hexadecimal digits of the message's identity", ErrInvalid, claim, MinClaim, MaxClaim)
	}
	return r, nil
}

func isClaim(s string) bool {
	return len(s) >= MinClaim && len(s) <= MaxClaim && strings.Trim(s, "0123456789abcdef") == ""
}

// Token returns the reference without its claim.
func (r Reference) Token() string { return Token(r.Hash, r.Ordinal) }

// String returns what ParseReference reads.
func (r Reference) String() string {
	if r.Claim == "" {
		return r.Token()
	}
	return r.Token() + "=" + r.Claim
}

// Claims reports whether the claim is that of a message with this identity.
func (r Reference) Claims(id Identity) bool {
	return r.Claim != "" && strings.HasPrefix(id.String(), r.Claim)
}
