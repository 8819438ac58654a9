package registry

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"permalink-milter/hashheader"
)

// MaxOrdinal bounds the messages that one hash can name on one list, so that
// a flood of forged duplicates cannot grow an entry without end.
const MaxOrdinal = 999

// maxURL bounds a confirmed URL in bytes.
const maxURL = 2000

// maxSubject bounds a confirmed subject in bytes; longer ones are cut.
const maxSubject = 300

// Token returns the token of a hash's ordinal: HASH for 1, HASH-n from 2 on.
func Token(hash string, ordinal int) string {
	if ordinal == 1 {
		return hash
	}
	return hash + "-" + strconv.Itoa(ordinal)
}

// ParseToken takes a token apart. Either case is read; the hash is returned
// in upper case.
func ParseToken(token string) (hash string, ordinal int, err error) {
	hash, suffix, collided := strings.Cut(token, "-")
	hash, err = CheckHash(hash)
	if err != nil || !collided {
		return hash, 1, err
	}
	ordinal, err = strconv.Atoi(suffix)
	if err != nil || ordinal < 2 || ordinal > MaxOrdinal || strconv.Itoa(ordinal) != suffix {
		return "", 0, fmt.Errorf("%w token %.80q: behind the hash stands -2 to -%d", ErrInvalid, token, MaxOrdinal)
	}
	return hash, ordinal, nil
}

// CheckHash returns a hash of any algorithm in upper case.
func CheckHash(hash string) (string, error) {
	for _, a := range hashheader.Algorithms {
		if len(hash) == a.HashLen() {
			if upper, err := a.ParseHash(hash); err == nil {
				return upper, nil
			}
		}
	}
	return "", fmt.Errorf("%w hash %.80q: want 26, 32 or 52 characters A-Z and 2-7", ErrInvalid, hash)
}

// CheckList returns a list's address in lower case. It takes one mailbox
// without white space, quoting or control characters (RFC 5321, section
// 4.1.2; UTF-8 as RFC 6531 allows it).
func CheckList(list string) (string, error) {
	local, host, _ := strings.Cut(list, "@")
	odd := func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == 0xfffd || strings.ContainsRune(`"\<>(),;:[]@`, r)
	}
	if local == "" || host == "" || len(list) > 254 || strings.ContainsFunc(local, odd) || strings.ContainsFunc(host, odd) {
		return "", fmt.Errorf("%w list %.80q: write its address, as devel@lists.example.org", ErrInvalid, list)
	}
	return strings.ToLower(list), nil
}

func checkURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() || u.Host == "" || len(text) > maxURL || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%w URL %.80q: write an absolute URL of at most %d bytes", ErrInvalid, text, maxURL)
	}
	return nil
}
