package hashheader

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Result is a result word (RFC 8601, section 2.7).
type Result string

// The words. Policy stands for a message that can be read in two ways, or a
// hash that may not be computed here; PermError for a malformed message.
const (
	Pass      Result = "pass"
	Fail      Result = "fail"
	None      Result = "none" // nothing to check
	Policy    Result = "policy"
	PermError Result = "permerror"
	TempError Result = "temperror" // a later try may end otherwise
)

// Fine reports whether nothing is wrong. Absence is not wrong by itself.
func (r Result) Fine() bool { return r == Pass || r == None }

// The methods of Examine, as Authentication-Results names them.
const (
	MethodMessageID  = "message-id"
	MethodHash       = "message-id-hash"
	MethodArchivedAt = "archived-at"
)

// A Check is the outcome of one check of a message. Field and Value are those of
// the field that was checked, spelled as in the message but without white
// space. They are empty where there is no field.
type Check struct {
	Method string `json:"method"`
	Result Result `json:"result"`
	Field  string `json:"field,omitempty"`
	Value  string `json:"value,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Examine checks a header section: the Message-ID itself, each hash field
// against it, and each Archived-At against RFC 5064 and the template under
// which it lies. There is at least one check of each method. It needs
// the fields that Examined accepts, and no others.
func Examine(h Header, templates []Template) []Check {
	var room [128]byte
	value, id := h.messageID(room[:0])
	checks := append(make([]Check, 0, 4), examineID(h, value, id))
	if CheckID(id) != nil {
		id = nil // it names nothing
	}
	checks = appendHashes(checks, h, id)
	return appendArchivedAt(checks, h, id, templates)
}

// newCheck returns a check of a field without a result.
func newCheck(method string, f Field) Check {
	return Check{Method: method, Field: trimName(f.Name), Value: stripped(f.Value)}
}

// Examined reports whether Examine looks at fields of this name, so that a
// reader need not keep the others. It decides nearly all names by their length.
func Examined[T string | []byte](name T) bool {
	if len(name) < min(len(MessageIDField), len(ArchivedAtField)) {
		return false
	}
	f := Field{Name: string(name)}
	_, hash := FieldAlgorithm(f.Name)
	return hash || f.Is(MessageIDField) || f.Is(ArchivedAtField)
}

func examineID(h Header, value string, id []byte) Check {
	c := newCheck(MethodMessageID, Field{MessageIDField, value})
	c.Result, c.Reason = Pass, OddID(value)
	count := h.Count(MessageIDField)
	switch {
	case count == 0:
		return Check{Method: MethodMessageID, Result: None, Reason: "no Message-ID"}
	case len(id) == 0:
		c.Result, c.Reason = PermError, "an empty Message-ID"
	case CheckID(id) != nil:
		c.Result, c.Reason = PermError, ErrLongID.Error()
	case count > 1:
		c.Result, c.Reason = Policy, fmt.Sprintf("%d Message-ID fields, the first with an id counts", count)
	}
	return c
}

func appendHashes(checks []Check, h Header, id []byte) []Check {
	before := len(checks)
	for i, f := range h {
		a, ok := FieldAlgorithm(f.Name)
		if !ok {
			continue
		}
		c := newCheck(MethodHash, f)
		c.Result, c.Reason = verifyWord(a, f.Value, id)
		if _, again := h[:i].First(c.Field); again && c.Result == Pass {
			c.Result, c.Reason = Policy, "more than one field of this name"
		}
		checks = append(checks, c)
	}
	if len(checks) == before {
		checks = append(checks, Check{Method: MethodHash, Result: None, Reason: "no hash field"})
	}
	return checks
}

// verifyWord returns Verify's answer as a result word, and the reason for it.
func verifyWord(a Algorithm, value string, id []byte) (Result, string) {
	if len(id) == 0 {
		return PermError, "no usable Message-ID to check it against"
	}
	err := Verify(a, value, id)
	switch {
	case err == nil:
		return Pass, ""
	case errors.Is(err, ErrMismatch) && Verify(a, value, slices.Concat([]byte("<"), id, []byte(">"))) == nil:
		return Fail, "the hash of the id with its brackets, as Mailman makes it of a folded field"
	case errors.Is(err, ErrMismatch):
		return Fail, err.Error()
	case errors.Is(err, ErrFIPS):
		return Policy, err.Error()
	}
	return PermError, err.Error()
}

func appendArchivedAt(checks []Check, h Header, id []byte, templates []Template) []Check {
	before := len(checks)
	for _, f := range h {
		if f.Is(ArchivedAtField) {
			checks = append(checks, examineArchivedAt(f, id, templates))
		}
	}
	if len(checks) == before {
		checks = append(checks, Check{Method: MethodArchivedAt, Result: None, Reason: "no Archived-At"})
	}
	return checks
}

func examineArchivedAt(f Field, id []byte, templates []Template) Check {
	c := newCheck(MethodArchivedAt, f)
	url, err := ParseArchivedAt(f.Value)
	switch {
	case err == nil:
		c.Result, c.Reason = permalinkWord(url, id, templates)
	case slices.ContainsFunc(templates, func(t Template) bool { return t.Covers(f.Value) }):
		c.Result, c.Reason = Fail, "names the archive's host, but is not a URL in angle brackets (RFC 5064)"
	default:
		c.Result, c.Reason = PermError, err.Error()
	}
	return c
}

// permalinkWord judges a URL by the first template that can make it. A URL
// that only lies under a template is a forgery or another page of the archive.
func permalinkWord(url string, id []byte, templates []Template) (Result, string) {
	if len(templates) == 0 {
		return Pass, "its syntax alone: no template was given"
	}
	result, reason := None, "of another archive"
	for _, t := range templates {
		values, err := t.Match(url)
		if err != nil {
			if result == None && t.coversURL(url) {
				result, reason = Fail, "not as the template "+t.String()+" makes it"
			}
			continue
		}
		if result, reason = partsWord(values, id); result == Pass {
			break
		}
	}
	return result, reason
}

// partsWord checks the variable parts of a permalink, the worst first.
func partsWord(values map[string]string, id []byte) (Result, string) {
	for _, name := range placeholders[:distinct] {
		value, ok := values[name]
		if !ok {
			continue
		}
		if result, reason := partWord(name, value, id); result != Pass {
			return result, reason
		}
	}
	return Pass, ""
}

func partWord(name, value string, id []byte) (Result, string) {
	switch name {
	case "message_id":
		if len(id) == 0 || !bytes.Equal(Canonical(nil, value), id) {
			return Fail, "another Message-ID"
		}
		return Pass, ""
	case "token":
		value = cutOrdinal(value)
		fallthrough
	case "hash":
		if a, ok := HashAlgorithm(value); ok {
			return malformedFails(verifyWord(a, value, id))
		}
		return Fail, "its variable part is not a hash"
	}
	a, err := ParseAlgorithm(name)
	if err != nil {
		return PermError, err.Error()
	}
	return malformedFails(verifyWord(a, value, id))
}

// malformedFails turns a malformed hash in a URL into a failure: the URL is not
// the permalink. Only a message without a Message-ID leaves that open.
func malformedFails(result Result, reason string) (Result, string) {
	if result == PermError && !strings.HasPrefix(reason, "no usable Message-ID") {
		return Fail, reason
	}
	return result, reason
}

// cutOrdinal cuts the -2, -3, … of a collision off a token.
func cutOrdinal(token string) string {
	hash, suffix, _ := strings.Cut(token, "-")
	if n, err := strconv.Atoi(suffix); err == nil && n > 1 && strconv.Itoa(n) == suffix {
		return hash
	}
	return token
}

// OddID returns in which ways a Message-ID field's value differs from the
// msg-id of RFC 5322, section 3.6.4, and "" for a regular one. Odd ids are
// hashed like others.
func OddID(value string) string {
	id := strings.Trim(value, " \t\r\n")
	inner, open := strings.CutPrefix(id, "<")
	inner, closed := strings.CutSuffix(inner, ">")
	if open && closed && regularID(inner) {
		return ""
	}
	var odd []string
	note := func(is bool, what string) {
		if is {
			odd = append(odd, what)
		}
	}
	note(!open || !closed, "no angle brackets around it")
	note(strings.ContainsAny(inner, " \t\r\n"), "white space inside")
	note(strings.ContainsAny(inner, "<>"), "more than one id in the field")
	note(strings.ContainsAny(inner, "()"), "a comment")
	note(strings.Contains(inner, "=?"), "an encoded word (RFC 2047)")
	note(strings.Count(inner, "@") != 1, "not one @")
	note(strings.ContainsFunc(inner, func(r rune) bool { return r >= 0x80 }), "not ASCII")
	note(strings.ContainsFunc(inner, func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\r\n", r) || r == 0x7f }), "a control character")
	return strings.Join(odd, ", ")
}

// regularID reports whether an id has one @ and otherwise only printable ASCII
// without a special meaning, as nearly all ids do.
func regularID(id string) bool {
	ats := 0
	for i := range len(id) {
		switch c := id[i]; {
		case c == '@':
			ats++
		case c <= ' ', c >= 0x7f, c == '<', c == '>', c == '(', c == ')', c == '?' && i > 0 && id[i-1] == '=':
			return false
		}
	}
	return ats == 1
}
