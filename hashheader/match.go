package hashheader

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// ErrNoMatch is returned by Match for a URL that the template cannot make.
var ErrNoMatch = errors.New("the URL is not of this template")

// A shape is what the values of a placeholder look like in a URL.
type shape struct {
	pattern string    // a regular expression of them
	class   [256]bool // the bytes that they have
	widths  []int     // their lengths without padding; nil where any is good
}

// Sets of bytes, as a regular expression's class has them.
const (
	base32Class    = `[A-Za-z2-7=]`
	base64URLClass = `[A-Za-z0-9_-]`
	hexClass       = `[0-9A-Fa-f]`
	digitClass     = `[0-9]`
	tokenClass     = `[A-Za-z0-9-]`
	pathClass      = `[^/?#]`
	queryClass     = `[^/?#&]`
	rawIDClass     = `[^?#&]` // some archives leave the slash of an id as it is
)

// shapeOf returns the shape of the placeholder's values. Base32 and hexadecimal
// digits are read in either case, base32 with padding.
func (p placeholder) shapeOf() *shape {
	switch {
	case p.name == "token":
		return newShape(tokenClass, `(?:[A-Za-z2-7]{52}|[A-Za-z2-7]{32}|[A-Za-z2-7]{26})(?:-[0-9]{1,3})?`)
	case p.name == "claim":
		return newShape(hexClass, "", MinClaim)
	case p.name == "year":
		return newShape(digitClass, "", 4)
	case p.name == "month":
		return newShape(digitClass, "", 2)
	case p.form == "base32":
		return newShape(base32Class, "", p.sizes(Algorithm.HashLen)...)
	case p.form == "base64url":
		return newShape(base64URLClass, "", p.sizes(func(a Algorithm) int { return base64.RawURLEncoding.EncodedLen(a.size()) })...)
	case p.form == "hex":
		return newShape(hexClass, "", p.sizes(func(a Algorithm) int { return hex.EncodedLen(a.size()) })...)
	case p.form == "path":
		return newShape(pathClass, pathClass+"*")
	case p.name == "message_id":
		return newShape(rawIDClass, rawIDClass+"*")
	}
	return newShape(queryClass, queryClass+"*")
}

// sizes returns the lengths that the digest may have.
func (p placeholder) sizes(of func(Algorithm) int) (out []int) {
	for _, a := range Algorithms {
		if p.name == "hash" || p.name == a.String() {
			out = append(out, of(a))
		}
	}
	return out
}

// newShape returns a shape. An empty pattern is that of the widths.
func newShape(class, pattern string, widths ...int) *shape {
	s := &shape{pattern: pattern, widths: widths}
	one := regexp.MustCompile(`^` + class + `$`)
	for c := range s.class {
		s.class[c] = one.Match([]byte{byte(c)})
	}
	if pattern != "" {
		return s
	}
	var each []string
	for _, width := range widths {
		each = append(each, fmt.Sprintf(`%s{%d}`, strings.Replace(class, "=", "", 1), width))
	}
	s.pattern = `(?:` + strings.Join(each, `|`) + `)`
	if class == base32Class {
		s.pattern += `=*`
	}
	return s
}

// compile prepares Match. Where each value ends at the first byte that it
// cannot have, as nearly always, no regular expression is needed.
func (t *Template) compile() (err error) {
	var b strings.Builder
	simple := true
	for i, p := range t.places {
		next := t.literals[i+1]
		simple = simple && (next == "" && i == len(t.places)-1 || next != "" && !p.shape.class[next[0]])
		b.WriteString(regexp.QuoteMeta(t.literals[i]) + `(` + p.shape.pattern + `)`)
	}
	if !simple {
		t.form, err = regexp.Compile(`^` + b.String() + regexp.QuoteMeta(t.literals[len(t.places)]) + `$`)
	}
	return err
}

// Match returns the decoded value of each placeholder of a URL, by what stands
// in its braces without the form. A digest is returned in base32, whatever its
// form.
func (t Template) Match(rawURL string) (map[string]string, error) {
	m, err := t.match(nil, rawURL)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(m.places))
	for i, p := range m.places {
		values[p.key] = m.values[i]
	}
	return values, nil
}

// A match is what Match returns, the values in the order of the places.
type match struct {
	places []placeholder
	values []string
}

// get returns the value of the placeholder with this key, "" where there is
// none.
func (m match) get(key string) string {
	for i := range m.places {
		if m.places[i].key == key {
			return m.values[i]
		}
	}
	return ""
}

// match is Match without a map. It may use room for the values.
func (t Template) match(room []string, rawURL string) (m match, err error) {
	found, ok := t.parts(room, rawURL)
	if !ok {
		return m, ErrNoMatch
	}
	for i := range t.places {
		p := &t.places[i]
		if found[i], err = p.decode(found[i]); err != nil {
			return m, ErrNoMatch
		}
		if before := (match{t.places[:i+1], found}).get(p.key); before != found[i] {
			return m, ErrNoMatch // the same placeholder with another value
		}
	}
	return match{t.places, found}, nil
}

// parts returns the values of the placeholders as they stand in a URL. It may
// use room for them.
func (t Template) parts(room []string, rawURL string) (found []string, ok bool) {
	rest, ok := strings.CutPrefix(rawURL, t.Prefix())
	if !ok {
		return nil, false // of another archive, as most are
	}
	if t.form != nil {
		found = t.form.FindStringSubmatch(rawURL)
		return found[min(1, len(found)):], found != nil
	}
	found = room[:0]
	for i := range t.places {
		class, n := &t.places[i].shape.class, 0
		for n < len(rest) && class[rest[n]] {
			n++
		}
		found = append(found, rest[:n])
		if rest, ok = strings.CutPrefix(rest[n:], t.literals[i+1]); !ok {
			return nil, false
		}
	}
	return found, rest == ""
}

// decode returns the value that stands in a URL, a digest in base32.
func (p *placeholder) decode(text string) (string, error) {
	bare := text
	if p.form == "base32" {
		bare = strings.TrimRight(text, "=")
	}
	if p.shape.widths != nil && !slices.Contains(p.shape.widths, len(bare)) {
		return "", ErrNoMatch
	}
	var digest []byte
	var err error
	switch p.form {
	case "path":
		return unescape(text, url.PathUnescape)
	case "query":
		return unescape(text, url.QueryUnescape)
	case "base32":
		return strings.ToUpper(bare), nil
	case "base64url":
		digest, err = base64.RawURLEncoding.Strict().DecodeString(text)
	default:
		digest, err = hex.DecodeString(text)
	}
	return base32Hash.EncodeToString(digest), err
}

// unescape decodes a text, in which there is nearly never anything to decode.
func unescape(text string, decode func(string) (string, error)) (string, error) {
	if strings.IndexByte(text, '%') < 0 && strings.IndexByte(text, '+') < 0 {
		return text, nil
	}
	return decode(text)
}
