package hashheader

import (
	"errors"
	"fmt"
	"slices"
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
// against it, and each Archived-At against RFC 5064 and the site's template
// under which it lies. There is at least one check of each method. It needs
// the fields that the site wants, and no others.
func Examine(h Header, s Site) []Check {
	var room [128]byte
	value, id := h.messageID(room[:0])
	checks := append(make([]Check, 0, 4), examineID(h, value, id))
	if CheckID(id) != nil {
		id = nil // it names nothing
	}
	checks = appendHashes(checks, h, id)
	return (&examination{s, h, id}).appendArchivedAt(checks)
}

// newCheck returns a check of a field without a result.
func newCheck(method string, f Field) Check {
	return Check{Method: method, Field: trimName(f.Name), Value: Stripped(f.Value)}
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

// appendHashes checks the hash fields by the table of the draft's section
// "Verification".
func appendHashes(checks []Check, h Header, id []byte) []Check {
	before := len(checks)
	for _, f := range h {
		a, ok := FieldAlgorithm(f.Name)
		if !ok {
			continue
		}
		c := newCheck(MethodHash, f)
		c.Result, c.Reason = verifyWord(a, f.Value, id)
		checks = append(checks, c)
	}
	switch hashes := checks[before:]; len(hashes) {
	case 0:
		return append(checks, Check{Method: MethodHash, Result: None, Reason: "no hash field"})
	case 1:
		return checks
	default:
		refuseRepeated(hashes)
		return checks
	}
}

// refuseRepeated makes permerror of the checks of a name that several fields
// have: it is open which of them is meant.
func refuseRepeated(hashes []Check) {
	count := make(map[string]int)
	for _, c := range hashes {
		count[strings.ToLower(c.Field)]++
	}
	for i, c := range hashes {
		if count[strings.ToLower(c.Field)] > 1 {
			hashes[i].Result, hashes[i].Reason = PermError, "more than one field of this name"
		}
	}
}

// noUsableID is why a message without a Message-ID leaves a check open.
const noUsableID = "no usable Message-ID to check it against"

// verifyWord returns Verify's answer as a result word, and the reason for it.
func verifyWord(a Algorithm, value string, id []byte) (Result, string) {
	err := Verify(a, value, id)
	switch {
	case err == nil && len(id) > 0:
		return Pass, ""
	case errors.Is(err, ErrFIPS):
		return Policy, err.Error()
	case err != nil && !errors.Is(err, ErrMismatch):
		return PermError, err.Error()
	case len(id) == 0:
		return None, noUsableID
	case Verify(a, value, slices.Concat([]byte("<"), id, []byte(">"))) == nil:
		return Fail, "the hash of the id with its brackets, as Mailman makes it of a folded field"
	}
	return Fail, err.Error()
}

// OddID returns in which ways a Message-ID field's value differs from the
// msg-id of RFC 5322, section 3.6.4, and "" for a regular one. Odd ids are
// hashed like others.
func OddID(value string) string {
	id := trimSpace(value)
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
