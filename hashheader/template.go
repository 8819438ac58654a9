package hashheader

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// A Permalink holds the values of a template's placeholders.
type Permalink struct {
	List      string    // list@host, lower case
	ListID    string    // the identifier of List-Id (RFC 2919)
	Token     string    // the reserved token
	MessageID []byte    // the canonical Message-ID
	Date      string    // the value of the Date field, for {year} and {month}
	Algorithm Algorithm // the algorithm of {hash}
	Identity  Identity  // of the message, for {claim}
	// Hash stands in for a MessageID that is not known, as when a token is
	// resolved. It fills templates without {message_id} and without another
	// digest of the message.
	Hash string
}

// Errors of Expand for a template that needs more than is known of a message.
var (
	ErrNeedsID = errors.New("the template needs the Message-ID, not its hash alone")
	ErrNoDate  = errors.New("the template needs a Date, and the message has none that can be read")
)

// A Template is a parsed permalink template, such as
// https://lists.example.org/archives/list/{list}/message/{sha1}/.
// The zero Template is good for IsZero alone.
type Template struct {
	// literals has one element more than places: text and placeholders
	// alternate.
	literals []string
	places   []placeholder
	form     *regexp.Regexp // of its URLs, with a group for each placeholder; nil where parts needs none
	base     place          // of the prefix
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
	if !slices.ContainsFunc(t.places, placeholder.distinct) {
		return t, fmt.Errorf("%q gives every message the same URL: add one of {%s}", text, strings.Join(distinctNames, "} {"))
	}
	t.base = newPlace(u)
	if err := t.compile(); err != nil {
		return t, fmt.Errorf("%q is too long: %w", text, err)
	}
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
		inside, tail, closed := strings.Cut(after, "}")
		if !closed {
			return t, fmt.Errorf("%q: a { without its }", text)
		}
		p, err := parsePlaceholder(inside)
		if err != nil {
			return t, fmt.Errorf("%q: %w", text, err)
		}
		t.places = append(t.places, p)
		rest = tail
	}
}

// IsZero reports whether the template was not parsed from anything.
func (t Template) IsZero() bool { return t.literals == nil }

// Algorithm returns the algorithm of the first hash that the template's URLs
// show, in whatever form, def where they show none. A digest of more than the
// Message-ID is no hash.
func (t Template) Algorithm(def Algorithm) Algorithm {
	for _, p := range t.places {
		if !p.isHash() {
			continue
		}
		if a, err := ParseAlgorithm(p.name); err == nil { // not {hash}
			return a
		}
	}
	return def
}

// NeedsDate reports whether the template needs the Date of a message.
func (t Template) NeedsDate() bool { return slices.ContainsFunc(t.places, placeholder.isDate) }

// NeedsHeader reports whether what the template's URLs show of a message is
// more than its Message-ID.
func (t Template) NeedsHeader() bool {
	return slices.ContainsFunc(t.places, func(p placeholder) bool {
		return p.isDate() || p.name == "claim" || p.isDigest() && !p.isHash()
	})
}

// Allowed returns ErrFIPS, wrapped, where the template needs an algorithm that
// must not be used. The algorithm of {hash} is def.
func (t Template) Allowed(def Algorithm) error {
	_, err := t.Expand(Permalink{List: "list@host.example", Algorithm: def, Date: "1 Jan 2000 00:00 +0000"})
	return err
}

// Prefix returns the text before the first placeholder: all URLs of the
// template start with it.
func (t Template) Prefix() string { return t.literals[0] }

// String returns the template as it was written.
func (t Template) String() string {
	var b strings.Builder
	for i, p := range t.places {
		b.WriteString(t.literals[i] + "{" + p.text + "}")
	}
	return b.String() + t.literals[len(t.places)]
}

// Expand fills the template. Its errors are ErrFIPS, ErrNoDate, and for a
// Permalink without MessageID ErrNeedsID.
func (t Template) Expand(p Permalink) (string, error) {
	var room [256]byte
	out := append(room[:0], t.literals[0]...)
	for i, at := range t.places {
		var err error
		if out, err = p.appendValue(out, at); err != nil {
			return "", err
		}
		out = append(out, t.literals[i+1]...)
	}
	return string(out), nil
}
