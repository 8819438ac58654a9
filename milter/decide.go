package milter

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A Message is what a decision needs to know of one message.
type Message struct {
	Header     hashheader.Header // the fields that Policy.wants, in order
	Recipients []string          // envelope, without angle brackets
	// MTAMessageID is the Message-ID that the MTA adds after the filter to a
	// message without one (Sendmail's macro {msg_id}).
	MTAMessageID string
}

// An Op is what an Edit does.
type Op uint8

// The operations, as the milter protocol has them.
const (
	Add     Op = iota // a field at the end of the header
	Replace           // the value of the Index-th field of the name
	Delete            // the Index-th field of the name
)

// An Edit is one change of the header. Indexes count the fields of one name
// from 1. Within a decision, deletions come first, from the highest index
// down: right on MTAs that count anew after each and on those that do not.
type Edit struct {
	Op    Op
	Name  string
	Index int
	Value string
}

// A Stamp is one permalink that a message got.
type Stamp struct {
	Archive, List, Token, URL string
	Outcome                   registry.Outcome
}

// A Decision is what becomes of a message.
type Decision struct {
	Edits    []Edit
	TempFail bool // answer 451 4.7.1; no edits
	Hash     string
	Stamps   []Stamp
	Notes    []string // oddities for the log
	Err      error    // why the registry did not serve
}

// Reserve asks the registry; see registry.Registry.
type Reserve func(registry.Request) (registry.Result, error)

// Decide makes the decision about one message. It does nothing itself but
// call reserve, once for each list that an archive holds.
func Decide(m *Message, p *Policy, reserve Reserve) Decision {
	var d Decision
	targets := p.targets(m)
	if len(targets) == 0 && !p.HashUnmatched {
		return d
	}
	canonical := d.messageID(m, p)
	if len(canonical) == 0 {
		d.finish(m, p, nil, nil)
		return d
	}
	var err error
	if d.Hash, err = p.Algorithm.Hash(canonical); err != nil {
		return Decision{Err: err}
	}
	permalinks, err := d.reserveAll(m, p, targets, canonical, reserve)
	if err != nil {
		return Decision{TempFail: p.OnFailure == FailureTempfail, Hash: d.Hash, Notes: d.Notes, Err: err}
	}
	d.finish(m, p, canonical, permalinks)
	return d
}

// messageID returns the canonical Message-ID, none for a message that is to
// stay without. A new one is among the edits.
func (d *Decision) messageID(m *Message, p *Policy) []byte {
	count := m.Header.Count(hashheader.MessageIDField)
	if count > 1 {
		d.note("%d Message-ID fields, the first counts", count)
	}
	if canonical := m.Header.CanonicalID(); len(canonical) > 0 {
		return canonical
	}
	if canonical := hashheader.Canonical(nil, m.MTAMessageID); len(canonical) > 0 && count == 0 {
		d.note("no Message-ID, the MTA adds its own")
		return canonical
	}
	if p.Missing == MissingSkip {
		d.note("no Message-ID, skipped")
		return nil
	}
	canonical, derived := hashheader.DeriveID(m.Header)
	if p.Missing == MissingGenerate || !derived {
		canonical = []byte(strings.ToLower(rand.Text()) + "@" + p.Hostname)
		d.note("no Message-ID, one was generated")
	} else {
		d.note("no Message-ID, one was derived")
	}
	edit := Edit{Op: Add, Name: hashheader.MessageIDField, Value: "<" + string(canonical) + ">"}
	if count > 0 {
		// The field is there and empty. Readers take the first one.
		edit.Op, edit.Index = Replace, 1
	}
	d.Edits = append(d.Edits, edit)
	return canonical
}

func (d *Decision) note(format string, args ...any) {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
}

// reserveAll reserves the message on each of its lists and returns the
// permalinks. Its error is a registry's that the policy does not forgive.
func (d *Decision) reserveAll(m *Message, p *Policy, targets []target, canonical []byte, reserve Reserve) ([]string, error) {
	identity := hashheader.Identify(m.Header, canonical, p.Identity)
	results := make(map[string]registry.Result)
	var urls []string
	for _, t := range targets {
		r, done := results[t.list]
		if !done {
			req := registry.Request{List: t.list, Hash: d.Hash, Identity: identity, Share: allShare(targets, t.list)}
			var err error
			if r, err = reserve(req); err != nil {
				d.Err = errors.Join(d.Err, err)
				if !errors.Is(err, registry.ErrFull) && p.OnFailure != FailureStamp {
					return nil, err
				}
				r = registry.Result{Reservation: registry.Reservation{List: t.list, Hash: d.Hash, Ordinal: 1}, Outcome: registry.Unreserved}
			}
			results[t.list] = r
		}
		stamp, err := t.stamp(r, canonical, p)
		if err != nil {
			return nil, err
		}
		d.Stamps = append(d.Stamps, stamp)
		urls = append(urls, stamp.URL)
	}
	return urls, nil
}

// allShare tells if no archive of the list would use a suffix.
func allShare(targets []target, list string) bool {
	return !slices.ContainsFunc(targets, func(t target) bool { return t.list == list && !t.archive.Share })
}

func (t target) stamp(r registry.Result, canonical []byte, p *Policy) (Stamp, error) {
	token := r.Token()
	if t.archive.Share {
		token = r.Hash
	}
	url, err := t.archive.URL.Expand(hashheader.Permalink{
		List: t.list, ListID: t.listID, Token: token, MessageID: canonical, Algorithm: p.Algorithm})
	return Stamp{t.archive.Name, t.list, token, url, r.Outcome}, err
}

// finish makes the edits that lead from the fields that are there to those
// that should be. It is the border rule: what carries our names or lies under
// our templates is right, or goes.
func (d *Decision) finish(m *Message, p *Policy, canonical []byte, urls []string) {
	var deletions, additions []Edit
	for _, name := range p.Emit {
		a, _ := hashheader.FieldAlgorithm(name)
		right := func(value string) bool { return len(canonical) > 0 && value == mustHash(a, canonical) }
		drop, found := wrong(m.Header, name, right)
		deletions = append(deletions, drop...)
		if !found && len(canonical) > 0 {
			additions = append(additions, Edit{Op: Add, Name: name, Value: mustHash(a, canonical)})
		}
	}
	for _, name := range p.Remove {
		if !slices.ContainsFunc(p.Emit, hashheader.Field{Name: name}.Is) {
			drop, _ := wrong(m.Header, name, func(string) bool { return false })
			deletions = append(deletions, drop...)
		}
	}
	drop, add := p.archivedAt(m.Header, urls)
	d.Edits = slices.Concat(deletions, drop, d.Edits, additions, add)
}

// mustHash hashes with an algorithm that NewPolicy found allowed.
func mustHash(a hashheader.Algorithm, canonical []byte) string {
	hash, _ := a.Hash(canonical)
	return hash
}

// wrong returns deletions of the fields of a name, highest index first: all
// but the first whose value, trimmed, is right.
func wrong(h hashheader.Header, name string, right func(value string) bool) (deletions []Edit, found bool) {
	index := 0
	for _, f := range h {
		if !f.Is(name) {
			continue
		}
		index++
		if !found && right(strings.Trim(f.Value, " \t\r\n")) {
			found = true
			continue
		}
		deletions = append(deletions, Edit{Op: Delete, Name: name, Index: index})
	}
	slices.Reverse(deletions)
	return deletions, found
}

// archivedAt compares the Archived-At fields with the permalinks. Other
// sites' fields stay (RFC 5064, section 2.2).
func (p *Policy) archivedAt(h hashheader.Header, urls []string) (deletions, additions []Edit) {
	var kept []string
	stays := func(value string) bool {
		url, err := hashheader.ParseArchivedAt(value)
		if err != nil {
			url = strings.Trim(value, "<> \t\r\n")
		}
		if !p.ours(url) {
			return true
		}
		if !slices.Contains(urls, url) || slices.Contains(kept, url) {
			return false
		}
		kept = append(kept, url)
		return true
	}
	index := 0
	for _, f := range h {
		if !f.Is(hashheader.ArchivedAtField) {
			continue
		}
		index++
		if !stays(f.Value) {
			deletions = append(deletions, Edit{Op: Delete, Name: hashheader.ArchivedAtField, Index: index})
		}
	}
	slices.Reverse(deletions)
	for _, url := range urls {
		if !slices.Contains(kept, url) {
			kept = append(kept, url)
			additions = append(additions, Edit{Op: Add, Name: hashheader.ArchivedAtField, Value: hashheader.ArchivedAt(url)})
		}
	}
	return deletions, additions
}

// ours tells if a URL lies under one of our templates.
func (p *Policy) ours(url string) bool {
	return slices.ContainsFunc(p.Archives, func(a ArchivePolicy) bool { return strings.HasPrefix(url, a.URL.Prefix()) })
}
