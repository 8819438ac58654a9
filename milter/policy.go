package milter

import (
	"fmt"
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
	MissingDerive   MissingMode = "derive"   // an id made of the originator fields, alike on every host
	MissingGenerate MissingMode = "generate" // a unique id
	MissingSkip     MissingMode = "skip"     // none

	FailureStamp    FailureMode = "stamp"    // the bare hash, which needs no registry
	FailureTempfail FailureMode = "tempfail" // 451 4.7.1
	FailureAccept   FailureMode = "accept"   // no fields of ours
)

// An ArchivePolicy is one archive: which lists it holds, and where.
type ArchivePolicy struct {
	Name  string
	Lists []string // glob patterns on list@host
	List  string   // the list of all messages that name none; may be empty
	URL   hashheader.Template
	Share bool // one permalink a Message-ID: never a collision's suffix
}

// A Policy is what Decide goes by. It does not change once NewPolicy
// returned it.
type Policy struct {
	Algorithm     hashheader.Algorithm // of tokens
	Emit          []string             // hash fields to write
	Remove        []string             // hash fields to delete
	Missing       MissingMode
	HashUnmatched bool     // write the hash fields where no archive matches
	Identity      []string // of hashheader.IdentityFields
	Archives      []ArchivePolicy
	OnFailure     FailureMode
	Hostname      string // for generated Message-IDs

	wanted []string
}

// NewPolicy checks a policy and returns it ready for use.
func NewPolicy(p Policy) (*Policy, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	p.wanted = slices.Concat([]string{hashheader.MessageIDField, hashheader.ArchivedAtField, "List-Id", "List-Post"},
		hashheader.IdentityFields, p.Emit, p.Remove)
	return &p, nil
}

func (p *Policy) check() error {
	for _, name := range p.Emit {
		if err := hashheader.CheckEmittedName(name); err != nil {
			return fmt.Errorf("header.emit: %w", err)
		}
		if a, _ := hashheader.FieldAlgorithm(name); a.Allowed() != nil {
			return fmt.Errorf("header.emit %s: %w", name, a.Allowed())
		}
	}
	for _, name := range p.Remove {
		if err := hashheader.CheckFieldName(name); err != nil {
			return fmt.Errorf("header.remove: %w", err)
		}
	}
	for _, a := range p.Archives {
		probe := hashheader.Permalink{List: "list@host.example", Algorithm: p.Algorithm}
		if _, err := a.URL.Expand(probe); err != nil {
			return fmt.Errorf("archive %s: %w", a.Name, err)
		}
	}
	if err := p.Algorithm.Allowed(); err != nil {
		return fmt.Errorf("header.algorithm: %w", err)
	}
	return nil
}

// wants tells if Decide looks at fields of this name, so that a session need
// not keep the others.
func (p *Policy) wants(name string) bool {
	field := hashheader.Field{Name: name}
	return slices.ContainsFunc(p.wanted, field.Is)
}

// ParseMissingMode reads header.missing_message_id.
func ParseMissingMode(name string) (MissingMode, error) {
	return parseMode("missing_message_id", MissingMode(name), MissingDerive, MissingGenerate, MissingSkip)
}

// ParseFailureMode reads registry.on_failure.
func ParseFailureMode(name string) (FailureMode, error) {
	return parseMode("on_failure", FailureMode(name), FailureStamp, FailureTempfail, FailureAccept)
}

func parseMode[M ~string](key string, mode M, modes ...M) (M, error) {
	if slices.Contains(modes, mode) {
		return mode, nil
	}
	return "", fmt.Errorf("%s = %q: write one of %s", key, mode, strings.Trim(fmt.Sprint(modes), "[]"))
}
