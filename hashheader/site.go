package hashheader

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// A Site is what Archived-At fields are checked against.
type Site struct {
	Templates []Template
	Identity  []string // of IdentityFields, for {claim}
	// Lists returns the lists that a message may be for: each with its List and
	// ListID alone. It is asked where a digest covers what its URL does not
	// show. It may be nil.
	Lists func(Header) []Permalink
}

// NeedsHeader reports whether Examine looks at more fields than those that
// Examined accepts: at those of Identity, the Date, and what Lists looks at.
func (s Site) NeedsHeader() bool { return slices.ContainsFunc(s.Templates, Template.NeedsHeader) }

// An examination checks the Archived-At fields of one message.
type examination struct {
	Site
	header Header
	id     []byte // canonical; nil where there is none
}

func (x *examination) appendArchivedAt(checks []Check) []Check {
	before := len(checks)
	for _, f := range x.header {
		if f.Is(ArchivedAtField) {
			checks = append(checks, x.archivedAt(f))
		}
	}
	if len(checks) == before {
		checks = append(checks, Check{Method: MethodArchivedAt, Result: None, Reason: "no Archived-At"})
	}
	return checks
}

func (x *examination) archivedAt(f Field) Check {
	c := newCheck(MethodArchivedAt, f)
	url, err := ParseArchivedAt(f.Value)
	switch {
	case err == nil:
		c.Result, c.Reason = x.permalinkWord(url)
	case slices.ContainsFunc(x.Templates, func(t Template) bool { return t.Covers(f.Value) }):
		c.Result, c.Reason = Fail, "names the archive's host, but is not a URL in angle brackets (RFC 5064)"
	default:
		c.Result, c.Reason = PermError, err.Error()
	}
	return c
}

// permalinkWord judges a URL by the first template that can make it. A URL
// that only lies under a template is a forgery or another page of the archive.
func (x *examination) permalinkWord(url string) (Result, string) {
	if len(x.Templates) == 0 {
		return Pass, "its syntax alone: no template was given"
	}
	result, reason, matched := None, "of another archive", false
	var room [4]string
	for _, t := range x.Templates {
		values, err := t.match(room[:0], url)
		if err != nil {
			if !matched && t.coversURL(url) {
				result, reason = Fail, "not as the template "+t.String()+" makes it"
			}
			continue
		}
		matched = true
		if result, reason = x.partsWord(t, values); result == Pass {
			break
		}
	}
	return result, reason
}

// partsWord checks the variable parts of a permalink. The first that is wrong
// decides.
func (x *examination) partsWord(t Template, values match) (Result, string) {
	for i := range t.places {
		if result, reason := x.partWord(&t.places[i], values); result != Pass {
			return result, reason
		}
	}
	return Pass, ""
}

func (x *examination) partWord(p *placeholder, values match) (Result, string) {
	value := values.get(p.key)
	switch p.name {
	case "message_id":
		if len(x.id) == 0 {
			return None, noUsableID
		}
		if !bytes.Equal(Canonical(nil, value), x.id) {
			return Fail, "another Message-ID"
		}
	case "token":
		hash, _, err := ParseToken(value)
		if err != nil {
			return Fail, notHash
		}
		return x.hashWord(hash)
	case "claim":
		if !strings.EqualFold(value, Identify(x.header, x.id, x.Identity).Claim()) {
			return Fail, "the claim is of another message"
		}
	case "year", "month":
		return x.dateWord(p, value)
	case "md5", "sha1", "sha256", "hash":
		if p.isHash() {
			return x.hashWord(value)
		}
		return x.digestWord(p, values)
	}
	return Pass, ""
}

// notHash is why a permalink fails whose hash or token has another form.
const notHash = "its variable part is not a hash"

// hashWord checks a hash of any algorithm. A malformed one in a URL is a
// failure: the URL is not the permalink. Only a message without a Message-ID
// leaves that open.
func (x *examination) hashWord(value string) (Result, string) {
	a, ok := HashAlgorithm(value)
	if !ok {
		return Fail, notHash
	}
	result, reason := verifyWord(a, value, x.id)
	if result == PermError {
		result = Fail
	}
	return result, reason
}

func (x *examination) dateWord(p *placeholder, value string) (Result, string) {
	date, _ := x.header.First("Date")
	right, err := Permalink{Date: date}.value(p.name)
	switch {
	case err != nil:
		return Fail, err.Error()
	case value != right:
		return Fail, "the " + p.name + " of the Date field is " + right + " (UTC)"
	}
	return Pass, ""
}

// digestWord checks a digest of the message and its list.
func (x *examination) digestWord(p *placeholder, values match) (Result, string) {
	if len(x.id) == 0 {
		return None, noUsableID
	}
	lists := x.lists(p, values)
	a, _ := HashAlgorithm(values.get(p.key)) // Match decoded it
	for _, l := range lists {
		l.MessageID, l.Algorithm = x.id, a
		digest, err := l.digest(nil, *p)
		if err != nil {
			return Policy, err.Error()
		}
		if base32Hash.EncodeToString(digest) == values.get(p.key) {
			return Pass, ""
		}
	}
	if len(lists) == 0 {
		return PermError, "no list to check {" + p.key + "} against"
	}
	return Fail, "{" + p.key + "} is of another Message-ID, or of another list"
}

// lists returns the lists that a digest may cover: the one that the URL shows,
// or where it shows too little those of the message.
func (x *examination) lists(p *placeholder, values match) (lists []Permalink) {
	hidden := func(input string) bool { return !shows(values, input) }
	if !slices.ContainsFunc(p.inputs, hidden) {
		return []Permalink{showing(Permalink{}, values)}
	}
	if x.Lists == nil {
		return nil
	}
	for _, l := range x.Lists(x.header) {
		lists = append(lists, showing(l, values))
	}
	return lists
}

// shows reports whether the values of a URL determine a digest's input, where
// the Message-ID is known.
func shows(values match, input string) bool {
	switch input {
	case "message_id":
		return true
	case "list":
		return values.get("list") != "" || values.get("listname") != "" && values.get("host") != ""
	case "listname", "host":
		return values.get("list") != "" || values.get(input) != ""
	}
	return values.get(input) != ""
}

// showing returns a list with what the values of a URL show of it in place of
// its own.
func showing(l Permalink, values match) Permalink {
	listname, host, _ := strings.Cut(cmp.Or(values.get("list"), l.List), "@")
	l.List = cmp.Or(values.get("listname"), listname) + "@" + cmp.Or(values.get("host"), host)
	l.ListID = cmp.Or(values.get("list_id"), l.ListID)
	return l
}
