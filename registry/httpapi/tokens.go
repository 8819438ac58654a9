package httpapi

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"os"
	pathpkg "path"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"permalink-milter/registry/stamp"
)

// A Scope is one thing that a token allows.
type Scope string

// The scopes.
const (
	ScopeRead    Scope = "read"
	ScopeReserve Scope = "reserve"
	ScopeConfirm Scope = "confirm"
	ScopeRelease Scope = "release"
)

var scopes = []Scope{ScopeRead, ScopeReserve, ScopeConfirm, ScopeRelease}

// allLists is the pattern that what concerns all lists at once needs.
const allLists = "*"

// A grant is one table [[token]] of the tokens file.
type grant struct {
	Name   string   `toml:"name"`
	SHA256 string   `toml:"sha256"`
	Scopes []Scope  `toml:"scopes"`
	Lists  []string `toml:"lists"`

	sum []byte
}

// Tokens are who may use the API. The zero Tokens are nobody.
type Tokens struct {
	Grants []grant `toml:"token"`
}

// LoadTokens reads a tokens file. Each table [[token]] has a name (for
// people), the SHA-256 of the token in hexadecimal digits, scopes (read,
// reserve, confirm, release) and lists: glob patterns on the list's address.
// "*" alone stands for all lists at once, which stats and a listing of all
// need. A token that stands in several tables may do what each says. A plain
// digest is enough for tokens of 256 random bits, see NewToken.
func LoadTokens(file string) (*Tokens, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	t, err := parseTokens(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return t, nil
}

func parseTokens(data []byte) (*Tokens, error) {
	t := new(Tokens)
	err := toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(t)
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		return nil, fmt.Errorf("unknown keys:\n%s", strict.String())
	}
	var decode *toml.DecodeError
	if errors.As(err, &decode) {
		line, column := decode.Position()
		return nil, fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	for i := range t.Grants {
		if bad := t.Grants[i].check(); bad != nil {
			err = errors.Join(err, fmt.Errorf("token %d (%q): %w", i+1, t.Grants[i].Name, bad))
		}
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

func (g *grant) check() (err error) {
	g.sum, err = hex.DecodeString(g.SHA256)
	if err != nil || len(g.sum) != sha256.Size {
		err = errors.New("sha256: write the token's SHA-256 as 64 hexadecimal digits, never the token itself")
	}
	for _, s := range g.Scopes {
		if !slices.Contains(scopes, s) {
			err = errors.Join(err, fmt.Errorf("scopes: %q: write some of %v", s, scopes))
		}
	}
	for _, pattern := range g.Lists {
		if _, bad := pathpkg.Match(pattern, ""); bad != nil {
			err = errors.Join(err, fmt.Errorf("lists: %q: %w", pattern, bad))
		}
	}
	if len(g.Scopes) == 0 || len(g.Lists) == 0 {
		err = errors.Join(err, errors.New(`write scopes, as ["read", "confirm"], and lists, as ["*@lists.example.org"]`))
	}
	return err
}

// NewToken makes a token of 256 random bits, and the digest of it that the
// tokens file holds.
func NewToken() (token, sum string) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	token = "permalink_" + base64.RawURLEncoding.EncodeToString(random)
	digest := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(digest[:])
}

// of returns the grants of a token. All are compared, each in constant time,
// so that the time taken tells nothing.
func (t *Tokens) of(token string) []grant {
	digest := sha256.Sum256([]byte(token))
	var found []grant
	for _, g := range t.Grants {
		if subtle.ConstantTimeCompare(digest[:], g.sum) == 1 {
			found = append(found, g)
		}
	}
	return found
}

func (g grant) allows(scope Scope, list string) bool {
	return slices.Contains(g.Scopes, scope) && slices.ContainsFunc(g.Lists, func(pattern string) bool {
		return pattern == allLists || stamp.MatchList(pattern, list)
	})
}

// grants returns what the token of a request allows: a bearer token (RFC
// 6750), or on pages, where browsers ask for it, the password of Basic (RFC
// 7617). Pages change nothing, so that no other site can make use of it.
func (h *Handler) grants(r *http.Request) []grant {
	value := r.Header.Get("Authorization")
	scheme, token, _ := strings.Cut(value, " ")
	if _, password, basic := r.BasicAuth(); basic && !wantsJSON(r) {
		return h.tokens.Load().of(password)
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	return h.tokens.Load().of(strings.TrimSpace(token))
}

// authenticate returns errNoToken for a request without a token that is known.
func (h *Handler) authenticate(r *http.Request) error {
	if len(h.grants(r)) > 0 {
		return nil
	}
	if r.Header.Get("Authorization") != "" {
		return fmt.Errorf("%w: the one that was sent is not known", errNoToken)
	}
	return errNoToken
}

// allow returns errScope where the token of a request does not have the scope
// on a list, or for "" on all lists at once.
func (h *Handler) allow(r *http.Request, scope Scope, list string) error {
	for _, g := range h.grants(r) {
		if g.allows(scope, list) {
			return nil
		}
	}
	if list == "" {
		return fmt.Errorf("%w: it has no scope %q on all lists (%q)", errScope, scope, allLists)
	}
	return fmt.Errorf("%w: it has no scope %q on %.80q", errScope, scope, list)
}

// challenge is the value of WWW-Authenticate (RFC 6750, section 3).
func challenge(r *http.Request, err error) string {
	switch {
	case !wantsJSON(r):
		return `Basic realm="permalinks: any name, and a token as the password", charset="UTF-8"`
	case errors.Is(err, errScope):
		return `Bearer realm="permalinks", error="insufficient_scope"`
	case r.Header.Get("Authorization") != "":
		return `Bearer realm="permalinks", error="invalid_token"`
	}
	return `Bearer realm="permalinks"`
}
