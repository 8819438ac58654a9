package hashheader

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A Permalink holds the values of a template's placeholders.
type Permalink struct {
	List      string    // list@host, lower case
	ListID    string    // the identifier of List-Id (RFC 2919)
	Token     string    // the reserved token
	MessageID []byte    // the canonical Message-ID
	Algorithm Algorithm // the algorithm of {hash}
	Identity  Identity  // of the message, for {claim}
	// Hash stands in for a MessageID that is not known, as when a token is
	// resolved. It fills templates without {message_id} and without the hash of
	// another algorithm.
	Hash string
}

// ErrNeedsID is returned by Expand for a template that the hash alone cannot
// fill.
var ErrNeedsID = errors.New("the template needs the Message-ID, not its hash alone")

// placeholders lists the names that a template may hold. The first ones, as
// many as distinct says, differ from message to message.
var placeholders = []string{"md5", "sha1", "sha256", "hash", "token", "message_id", "list", "listname", "host", "list_id", "claim"}

const distinct = 6

// A Template is a parsed permalink template, such as
// https://lists.example.org/archives/list/{list}/message/{sha1}/.
// The zero Template is good for IsZero alone.
type Template struct {
	// literals has one element more than names: text and names alternate.
	literals, names []string
	base            place // of the prefix
}

// ParseTemplate reads a template: an absolute http or https URL with a
// placeholder that differs from message to message.
func ParseTemplate(text string) (Template, error) {
	t, err := split(text)
	if err != nil {
		return t, err
	}
	prefix := t.Prefix()
	u, err := url.Parse(prefix)
	if err != nil || !IsWeb(u) || u.Path == "" {
		return t, fmt.Errorf("%q: write an absolute URL whose scheme and host have no placeholder, as https://lists.example.org/{token}", text)
	}
	for _, c := range []byte(strings.Join(t.literals, "")) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`<>"\^`+"`", c) >= 0 {
			return t, fmt.Errorf("%q: %q cannot stand in a URL: percent-encode it (RFC 3986)", text, c)
		}
	}
	// No hexadecimal digit stands for the values: an escape must not reach
	// into one.
	if _, err := url.Parse(strings.Join(t.literals, "x")); err != nil {
		return t, fmt.Errorf("%q: %w", text, err)
	}
	if !slices.ContainsFunc(t.names, func(name string) bool { return slices.Contains(placeholders[:distinct], name) }) {
		return t, fmt.Errorf("%q gives every message the same URL: add one of {%s}", text, strings.Join(placeholders[:distinct], "} {"))
	}
	t.base = newPlace(u)
	return t, nil
}

// IsWeb reports whether a URL is an absolute one of http or https.
func IsWeb(u *url.URL) bool { return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" }

func split(text string) (Template, error) {
	var t Template
	for rest := text; ; {
		literal, after, open := strings.Cut(rest, "{")
		if strings.Contains(literal, "}") {
			return t, fmt.Errorf("%q: a } without its {", text)
		}
		t.literals = append(t.literals, literal)
		if !open {
			return t, nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return t, fmt.Errorf("%q: a { without its }", text)
		}
		if !slices.Contains(placeholders, name) {
			return t, fmt.Errorf("%q: unknown placeholder {%s}: there are {%s}", text, name, strings.Join(placeholders, "} {"))
		}
		t.names = append(t.names, name)
		rest = tail
	}
}

// IsZero reports whether the template was not parsed from anything.
func (t Template) IsZero() bool { return t.literals == nil }

// Algorithm returns the algorithm of the first digest that the template's URLs
// show, def where they show none.
func (t Template) Algorithm(def Algorithm) Algorithm {
	for _, name := range t.names {
		if a, err := ParseAlgorithm(name); err == nil {
			return a
		}
	}
	return def
}

// Allowed returns ErrFIPS, wrapped, where the template needs an algorithm that
// must not be used. The algorithm of {hash} is def.
func (t Template) Allowed(def Algorithm) error {
	_, err := t.Expand(Permalink{List: "list@host.example", Algorithm: def})
	return err
}

// Prefix returns the text before the first placeholder: all URLs of the
// template start with it.
func (t Template) Prefix() string { return t.literals[0] }

// String returns the template as it was written.
func (t Template) String() string {
	var b strings.Builder
	for i, name := range t.names {
		b.WriteString(t.literals[i] + "{" + name + "}")
	}
	return b.String() + t.literals[len(t.names)]
}

// Expand fills the template, each value percent-encoded for a path segment.
// Its only errors are ErrFIPS and, for a Permalink without MessageID,
// ErrNeedsID.
func (t Template) Expand(p Permalink) (string, error) {
	var room [256]byte
	out := append(room[:0], t.literals[0]...)
	for i, name := range t.names {
		value, err := p.value(name)
		if err != nil {
			return "", err
		}
		out = appendSegment(out, value)
		out = append(out, t.literals[i+1]...)
	}
	return string(out), nil
}

func (p Permalink) value(name string) (string, error) {
	listname, host, _ := strings.Cut(p.List, "@")
	switch name {
	case "token":
		return p.Token, nil
	case "message_id":
		if p.hashOnly() {
			return "", ErrNeedsID
		}
		return string(p.MessageID), nil
	case "list":
		return p.List, nil
	case "listname":
		return listname, nil
	case "host":
		return host, nil
	case "list_id":
		return p.ListID, nil
	case "claim":
		return p.Identity.Claim(), nil
	case "hash":
		return p.hash(p.Algorithm)
	}
	a, err := ParseAlgorithm(name)
	if err != nil {
		return "", err
	}
	return p.hash(a)
}

func (p Permalink) hashOnly() bool { return len(p.MessageID) == 0 && p.Hash != "" }

func (p Permalink) hash(a Algorithm) (string, error) {
	if !p.hashOnly() {
		return a.Hash(p.MessageID)
	}
	if len(p.Hash) != a.HashLen() {
		return "", ErrNeedsID
	}
	return p.Hash, nil
}

// appendSegment appends value, all but RFC 3986's pchar percent-encoded.
func appendSegment(dst []byte, value string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(value) {
		c := value[i]
		if isPchar(c) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', digits[c>>4], digits[c&15])
	}
	return dst
}

func isPchar(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~!$&'()*+,;=:@", c) >= 0
}

// ErrNoMatch is returned by Match for a URL that the template cannot make.
var ErrNoMatch = errors.New("the URL is not of this template")

// Match returns the decoded value of each placeholder of a URL, by its name. A
// placeholder extends to the next literal text, or to the end.
func (t Template) Match(rawURL string) (map[string]string, error) {
	rest, ok := strings.CutPrefix(rawURL, t.literals[0])
	if !ok {
		return nil, ErrNoMatch
	}
	values := make(map[string]string, len(t.names))
	for i, name := range t.names {
		segment := rest
		if literal := t.literals[i+1]; literal != "" {
			segment, rest, ok = strings.Cut(rest, literal)
		} else {
			rest = ""
		}
		value, err := url.PathUnescape(segment)
		if !ok || err != nil || strings.Contains(segment, "/") {
			return nil, ErrNoMatch
		}
		values[name] = value
	}
	if rest != "" {
		return nil, ErrNoMatch
	}
	return values, nil
}
