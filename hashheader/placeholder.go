package hashheader

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// A placeholder is what stands in braces in a template: {NAME}, {NAME:FORM},
// {DIGEST(INPUT,…)} or {DIGEST(INPUT,…):FORM}.
type placeholder struct {
	text   string   // without the braces
	name   string   // of placeholderNames
	key    string   // the text without the form
	inputs []string // of a digest: what is digested, joined without a separator
	form   string
	shape  *shape // of its values in a URL
}

// The names, and the forms that values are written in. The default form is the
// first one.
var (
	placeholderNames = slices.Concat(digestNames, textNames)
	digestNames      = []string{"md5", "sha1", "sha256", "hash"}
	textNames        = []string{"token", "message_id", "list", "listname", "host", "list_id", "claim", "year", "month"}
	distinctNames    = []string{"md5", "sha1", "sha256", "hash", "token", "message_id"} // differ from message to message
	inputNames       = []string{"message_id", "list", "listname", "host", "list_id"}
	digestForms      = []string{"base32", "base64url", "hex"}
	textForms        = []string{"path", "query"}
)

// parsePlaceholder reads what stands in braces.
func parsePlaceholder(text string) (placeholder, error) {
	p := placeholder{text: text}
	subject, form, formed := strings.Cut(text, ":")
	name, inputs, listed := strings.Cut(subject, "(")
	p.name = name
	if !slices.Contains(placeholderNames, name) {
		return p, fmt.Errorf("unknown placeholder {%s}: there are {%s}", text, strings.Join(placeholderNames, "} {"))
	}
	if p.isDigest() {
		p.inputs = []string{"message_id"}
	}
	if listed {
		if err := p.readInputs(inputs); err != nil {
			return p, err
		}
	}
	forms := textForms
	if p.isDigest() {
		forms = digestForms
	}
	if p.form = forms[0]; formed {
		p.form = form
	}
	if !slices.Contains(forms, p.form) {
		return p, fmt.Errorf("{%s}: the forms of {%s} are %s", text, name, strings.Join(forms, ", "))
	}
	p.key = p.keyOf()
	p.shape = p.shapeOf()
	return p, nil
}

// readInputs reads what stands behind the opening parenthesis of a digest.
func (p *placeholder) readInputs(text string) error {
	if !p.isDigest() {
		return fmt.Errorf("{%s}: {%s} is no digest: write %s before the parenthesis", p.text, p.name, strings.Join(digestNames, ", "))
	}
	inner, closed := strings.CutSuffix(text, ")")
	p.inputs = strings.Split(inner, ",")
	for _, input := range p.inputs {
		if !closed || !slices.Contains(inputNames, input) {
			return fmt.Errorf("{%s}: write in parentheses what is digested, of %s, with commas and without spaces, as {sha1(message_id,listname)}",
				p.text, strings.Join(inputNames, ", "))
		}
	}
	return nil
}

func (p placeholder) isDigest() bool { return slices.Contains(digestNames, p.name) }

// isHash reports whether the value is the hash of the Message-ID, in any form.
func (p placeholder) isHash() bool { return len(p.inputs) == 1 && p.inputs[0] == "message_id" }

func (p placeholder) isDate() bool { return p.name == "year" || p.name == "month" }

// distinct reports whether the value differs from message to message.
func (p placeholder) distinct() bool {
	return slices.Contains(distinctNames, p.name) && (!p.isDigest() || slices.Contains(p.inputs, "message_id"))
}

// keyOf returns the placeholder without its form.
func (p placeholder) keyOf() string {
	if p.isHash() {
		return p.name
	}
	key, _, _ := strings.Cut(p.text, ":")
	return key
}

// appendValue appends the value of a placeholder as it stands in a URL.
func (p Permalink) appendValue(dst []byte, at placeholder) ([]byte, error) {
	if !at.isDigest() {
		value, err := p.value(at.name)
		return appendEscaped(dst, value, at.form), err
	}
	var room [32]byte
	digest, err := p.digest(room[:0], at)
	switch at.form {
	case "base32":
		return base32Hash.AppendEncode(dst, digest), err
	case "base64url":
		return base64.RawURLEncoding.AppendEncode(dst, digest), err
	default:
		return hex.AppendEncode(dst, digest), err
	}
}

// digest appends a digest's bytes to dst.
func (p Permalink) digest(dst []byte, at placeholder) ([]byte, error) {
	a, err := ParseAlgorithm(at.name)
	if err != nil {
		a = p.Algorithm // of {hash}
	}
	if at.isHash() && !p.hashOnly() {
		return a.appendSum(dst, p.MessageID)
	}
	if at.isHash() {
		if len(p.Hash) != a.HashLen() {
			return dst, ErrNeedsID
		}
		return base32Hash.AppendDecode(dst, []byte(p.Hash))
	}
	var room [512]byte
	joined := room[:0]
	for _, input := range at.inputs {
		value, err := p.value(input)
		if err != nil {
			return dst, err
		}
		joined = append(joined, value...)
	}
	return a.appendSum(dst, joined)
}

// value returns what is no digest.
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
	}
	at, ok := ParseDate(p.Date)
	if !ok {
		return "", ErrNoDate
	}
	if name == "year" {
		return at.Format("2006"), nil
	}
	return at.Format("01"), nil
}

func (p Permalink) hashOnly() bool { return len(p.MessageID) == 0 && p.Hash != "" }

// appendEscaped appends value, percent-encoded. A path segment keeps RFC 3986's
// pchar. A query keeps its unreserved characters alone: & and + would have a
// meaning there.
func appendEscaped(dst []byte, value, form string) []byte {
	const digits = "0123456789ABCDEF"
	keep := "-._~"
	if form == "path" {
		keep = "-._~!$&'()*+,;=:@"
	}
	for i := range len(value) {
		c := value[i]
		if isAlphanumeric(c) || strings.IndexByte(keep, c) >= 0 {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', digits[c>>4], digits[c&15])
	}
	return dst
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
