package registry

import (
	"fmt"
	"net/url"
	"strings"
)

// maxURL bounds a confirmed URL in bytes.
const maxURL = 2000

// maxSubject bounds a confirmed subject in bytes; longer ones are cut.
const maxSubject = 300

// CheckURL returns an error that wraps ErrInvalid for a URL that Confirm does
// not take: it must be absolute, of at most 2000 bytes, and without white space
// or control characters.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || !u.IsAbs() || u.Host == "" || len(text) > maxURL || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return fmt.Errorf("%w URL %.80q: write an absolute URL of at most %d bytes", ErrInvalid, text, maxURL)
	}
	return nil
}
