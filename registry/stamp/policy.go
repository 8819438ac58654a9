package stamp

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// A MissingMode says what a message without a Message-ID gets.
type MissingMode string

// A FailureMode says what a message gets while the registry does not answer.
type FailureMode string

// The modes, by their names in the configuration.
const (
	MissingDerive   MissingMode = "derive"   // an id derived from the originator fields, the same on every host
	MissingGenerate MissingMode = "generate" // a unique id
	MissingSkip     MissingMode = "skip"     // none

	FailureStamp    FailureMode = "stamp"    // the bare hash, which needs no registry
	FailureTempfail FailureMode = "tempfail" // 451 4.7.1
	FailureAccept   FailureMode = "accept"   // no fields of ours
)

// An Archive is a configured target: the lists it holds, and the URLs of its
// permalinks.
type Archive struct {
	Name   string
	Lists  []string // glob patterns on list@host
	Except []string // glob patterns of lists that Lists must not match
	List   string   // the list of messages that name none; may be empty
	// URL is the template of the permalinks that messages carry.
	URL hashheader.Template
	// Target is the template that the resolver follows for a permalink that is
	// reserved; URL where it is zero.
	Target hashheader.Template
	// Share says that the archive keeps one message per Message-ID, so that its
	// permalinks never take a collision's suffix.
	Share bool
}

// Holds reports whether the archive holds a list, by its address in lower case.
func (a *Archive) Holds(list string) bool {
	if list == "" {
		return false
	}
	return strings.EqualFold(a.List, list) || MatchAny(a.Lists, list) && !MatchAny(a.Except, list)
}

// Following returns the template that the resolver follows.
func (a *Archive) Following() hashheader.Template {
	if a.Target.IsZero() {
		return a.URL
	}
	return a.Target
}

// MatchAny reports whether a list's address matches one of the patterns.
func MatchAny(patterns []string, list string) bool {
	list = strings.ToLower(list)
	return slices.ContainsFunc(patterns, func(pattern string) bool { return match(strings.ToLower(pattern), list) })
}

// MatchList reports whether a list's address matches a glob pattern of
// path.Match, without case. No pattern matches an empty address.
func MatchList(pattern, list string) bool {
	return match(strings.ToLower(pattern), strings.ToLower(list))
}

// match is MatchList for lower case.
func match(pattern, list string) bool {
	if list == "" || !spelled(pattern, list) {
		return false
	}
	ok, _ := path.Match(pattern, list)
	return ok
}

// spelled reports whether a list's address has each text that a pattern spells
// out between its stars. Most addresses lack one, and path.Match takes many times
// as long to find that out (BenchmarkMatchAny): a message may name thousands of
// addresses, and an archive has some fifty patterns.
func spelled(pattern, list string) bool {
	if strings.ContainsAny(pattern, `?[\`) {
		return true // not all that stands between stars is text
	}
	for text := range strings.SplitSeq(pattern, "*") {
		if !strings.Contains(list, text) {
			return false
		}
	}
	return true
}

// A Policy is what Decide goes by. It does not change after NewPolicy
// returned it.
type Policy struct {
	Algorithm     hashheader.Algorithm // of tokens, where an archive's URL shows no other
	Emit          []string             // hash fields to write
	Remove        []string             // hash fields to delete
	Missing       MissingMode
	HashUnmatched bool     // write the hash fields where no archive matches
	Identity      []string // of hashheader.IdentityFields
	Archives      []Archive
	OnFailure     FailureMode
	Hostname      string // for generated Message-IDs
	Observe       bool   // the milter decides, and changes nothing
	// ListFieldsFrom are the clients whose List-Id and List-Post count.
	ListFieldsFrom Clients

	wanted []string
}

// NewPolicy checks a policy and returns it ready for use.
func NewPolicy(p Policy) (*Policy, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	p.wanted = slices.Concat(ownFields, hashheader.IdentityFields, p.Emit, p.Remove)
	return &p, nil
}

func (p *Policy) check() error {
	err := p.Algorithm.Allowed()
	for _, name := range p.Emit {
		err = errors.Join(err, hashheader.CheckEmittedName(name))
	}
	for _, name := range p.Remove {
		err = errors.Join(err, hashheader.CheckFieldName(name))
	}
	for _, a := range p.Archives {
		if bad := a.URL.Allowed(p.Algorithm); bad != nil {
			err = errors.Join(err, fmt.Errorf("archive %s: %w", a.Name, bad))
		}
	}
	return err
}

// ownFields are the fields that Decide looks at under every policy, beside
// hashheader.IdentityFields.
var ownFields = slices.Concat(listFields, destinations, mailman3Marks,
	[]string{hashheader.MessageIDField, hashheader.ArchivedAtField, "X-No-Archive", "X-Archive", "X-Loop", "X-Mailman-Version"})

// Wants reports whether Decide looks at fields of this name, so that a caller
// need not keep the others.
func (p *Policy) Wants(name string) bool {
	field := hashheader.Field{Name: name}
	return slices.ContainsFunc(p.wanted, field.Is)
}

// Holding returns the archives that hold a list.
func (p *Policy) Holding(list string) (out []*Archive) {
	for i := range p.Archives {
		if p.Archives[i].Holds(list) {
			out = append(out, &p.Archives[i])
		}
	}
	return out
}

// AlgorithmOf returns the algorithm of an archive's tokens: the one that its
// own URL shows, else the policy's. So a stamped URL can always be looked up.
func (p *Policy) AlgorithmOf(a *Archive) hashheader.Algorithm {
	return a.URL.Algorithm(p.Algorithm)
}

// Site returns what Archived-At fields are checked against: the URL templates of
// all archives, and what these take from a message.
func (p *Policy) Site() hashheader.Site {
	s := hashheader.Site{Identity: p.Identity, Lists: p.lists}
	for _, a := range p.Archives {
		s.Templates = append(s.Templates, a.URL)
	}
	return s
}

// lists returns the lists that a message is for, as a template takes them.
func (p *Policy) lists(h hashheader.Header) (out []hashheader.Permalink) {
	targets, _ := p.targets(&Message{Header: h}, h)
	for _, t := range targets {
		out = append(out, hashheader.Permalink{List: t.list, ListID: t.listID})
	}
	return out
}
