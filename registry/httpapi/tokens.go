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
	"path"
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

// allLists is the pattern of tokens for what concerns all lists at once.
const allLists = "*"

// A grant is one table [[token]] of the tokens file.
type grant struct {
	Name   string   `toml:"name"`
	SHA256 string   `toml:"sha256"`
	Scopes []Scope  `toml:"scopes"`
	Lists  []string `toml:"lists"`

	sum []byte
}

// Tokens says who may use the API. The zero Tokens lets nobody.
type Tokens struct {
	Grants []grant `toml:"token"`
}

// LoadTokens reads a tokens file. Each table [[token]] has a name (for
// people), the SHA-256 of the token in hexadecimal digits, scopes (read,
// reserve, confirm, release) and lists: glob patterns on the list's address.
// "*" alone means all lists at once, as the counts and a listing of everything
// need. A token in several tables may do what each of them allows. A plain
// digest is enough for tokens of 256 random bits; see NewToken.
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
		if _, bad := path.Match(pattern, ""); bad != nil {
			err = errors.Join(err, fmt.Errorf("lists: %q: %w", pattern, bad))
		}
	}
	if len(g.Scopes) == 0 || len(g.Lists) == 0 {
		err = errors.Join(err, errors.New(`write scopes, as ["read", "confirm"], and lists, as ["*@lists.example.org"]`))
	}
	return err
}

// NewToken returns a new token of 256 random bits, and its digest for the
// tokens file.
func NewToken() (token, sum string) {
	random := make([]byte, 32)
	_, _ = rand.Read(random) // never fails
	token = "permalink_" + base64.RawURLEncoding.EncodeToString(random)
	digest := sha256.Sum256([]byte(token))
	return token, hex.EncodeToString(digest[:])
}

// NewTable returns a new token, and the table of the tokens file that allows it
// these scopes on these lists.
func NewTable(name string, allowed []Scope, lists []string) (token string, table []byte, err error) {
	token, sum := NewToken()
	g := grant{Name: name, SHA256: sum, Scopes: allowed, Lists: lists}
	if err := g.check(); err != nil {
		return "", nil, err
	}
	table, err = toml.Marshal(Tokens{Grants: []grant{g}})
	return token, table, err
}

// of returns the grants of a token. It compares with all, each in constant
// time, so that the time taken tells nothing about them.
func (t *Tokens) of(token string) []grant {
	if token == "" {
		return nil
	}
	digest := sha256.Sum256([]byte(token))
	var found []grant
	for _, g := range t.Grants {
		if subtle.ConstantTimeCompare(digest[:], g.sum) == 1 {
			found = append(found, g)
		}
	}
	return found
}

// grantsOf returns what a request may do. On the socket of the store's owner,
// that is everything.
func (h *Handler) grantsOf(r *http.Request) []grant {
	if h.o.Store != nil {
		return []grant{{Scopes: scopes, Lists: []string{allLists}}}
	}
	return h.tokens.Load().of(tokenOf(r))
}

func (g grant) allows(scope Scope, list string) bool {
	return slices.Contains(g.Scopes, scope) && slices.ContainsFunc(g.Lists, func(pattern string) bool {
		return pattern == allLists || stamp.MatchList(pattern, list)
	})
}

// tokenOf returns the token of a request: a bearer token (RFC 6750), or on
// pages, where browsers ask for it, the password of Basic (RFC 7617). Pages
// change nothing, so that no other site can take advantage of that.
func tokenOf(r *http.Request) string {
	if _, password, basic := r.BasicAuth(); basic && !wantsJSON(r) {
		return password
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// authenticate returns errNoToken for a request without a token that is known.
func (x *exchange) authenticate() error {
	if !x.isStranger() {
		return nil
	}
	if x.r.Header.Get("Authorization") != "" {
		return fmt.Errorf("%w: the one that was sent is not known", errNoToken)
	}
	return errNoToken
}

// allow returns errScope where the token of the request does not have the
// route's scope on a list, or for "" on all lists at once.
func (x *exchange) allow(list string) error {
	if slices.ContainsFunc(x.grants, func(g grant) bool { return g.allows(x.scope, list) }) {
		return nil
	}
	if list == "" {
		return fmt.Errorf("%w: it has no scope %q on all lists (%q)", errScope, x.scope, allLists)
	}
	return fmt.Errorf("%w: it has no scope %q on %.80q", errScope, x.scope, list)
}

// challenge returns the value of WWW-Authenticate (RFC 6750, section 3).
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
