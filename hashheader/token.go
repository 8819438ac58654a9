package hashheader

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrInvalid is wrapped by the errors for what is not a list, a hash or a
// token.
var ErrInvalid = errors.New("invalid")

// MaxOrdinal bounds the messages that one hash can name on one list, so that
// a flood of forged duplicates cannot grow an entry without end.
const MaxOrdinal = 999

// Token returns the token of a hash's ordinal: HASH for 1, HASH-n from 2 on.
func Token(hash string, ordinal int) string {
	if ordinal == 1 {
		return hash
	}
	return hash + "-" + strconv.Itoa(ordinal)
}

// ParseToken splits a token into its hash and ordinal. It reads either case and
// returns the hash in upper case.
func ParseToken(token string) (hash string, ordinal int, err error) {
	hash, suffix, collided := strings.Cut(token, "-")
	hash, err = CheckHash(hash)
	if err != nil || !collided {
		return hash, 1, err
	}
	ordinal, err = strconv.Atoi(suffix)
	if err != nil || ordinal < 2 || ordinal > MaxOrdinal || strconv.Itoa(ordinal) != suffix {
		return "", 0, fmt.Errorf("%w token %.80q: write the hash, or the hash and -2 to -%d", ErrInvalid, token, MaxOrdinal)
	}
	return hash, ordinal, nil
}

// CheckHash returns a hash of any algorithm in upper case.
func CheckHash(hash string) (string, error) {
	if a, ok := HashAlgorithm(hash); ok {
		if upper, err := a.ParseHash(hash); err == nil {
			return upper, nil
		}
	}
	return "", fmt.Errorf("%w hash %.80q: want 26, 32 or 52 characters A-Z and 2-7", ErrInvalid, hash)
}

// maxList is the length of the longest address in octets (RFC 5321, section
// 4.5.3.1.3).
const maxList = 254

// CheckList returns a list's address in lower case. It takes one mailbox
// without white space, quoting or control characters (RFC 5321, section
// 4.1.2; UTF-8 as RFC 6531 allows it).
func CheckList(list string) (string, error) {
	local, host, _ := strings.Cut(list, "@")
	odd := func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == 0xfffd || strings.ContainsRune(`"\<>(),;:[]@`, r)
	}
	lower := strings.ToLower(list) // which may be longer
	if local == "" || host == "" || len(lower) > maxList || strings.ContainsFunc(local, odd) || strings.ContainsFunc(host, odd) {
		return "", fmt.Errorf("%w list %.80q: write its address, as devel@lists.example.org", ErrInvalid, list)
	}
	return lower, nil
}

// HashAlgorithm returns the algorithm of a hash, which its length determines.
func HashAlgorithm(hash string) (Algorithm, bool) {
	for _, a := range Algorithms {
		if len(hash) == a.HashLen() {
			return a, true
		}
	}
	return 0, false
}
