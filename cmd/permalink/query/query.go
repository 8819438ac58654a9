// Package query finds out what an argument names, and the reservations that it
// means.
package query

import (
	"context"
	"iter"
	"net/url"
	"slices"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// A Query selects reservations.
type Query struct {
	Kind     string   // what the argument was taken for
	Hashes   []string // of which one is meant
	Ordinal  int      // of the token; 0: any
	Claim    string   // the beginning of the holder's identity; empty: any
	URL      string   // that was confirmed, for a permalink that shows no token
	Identity *hashheader.Identity
	List     string // empty: any
}

// messageID is the Kind of what is nothing else.
const messageID = "a Message-ID"

// Parse returns what an argument means: a permalink of the policy's archives,
// or of any site that has a token in its path; a token, a hash, or a hash with
// a claim. What is nothing else is a Message-ID.
func Parse(arg string, p *stamp.Policy) Query {
	if strings.Contains(arg, "://") {
		return parseURL(arg, p)
	}
	if q, ok := parseReference(arg); ok {
		return q
	}
	return ofID(hashheader.Canonical(nil, arg))
}

// parseReference reads HASH, HASH-2 and HASH=CLAIM. A bare hash means all its
// tokens.
func parseReference(text string) (Query, bool) {
	r, err := hashheader.ParseReference(text)
	if err != nil {
		return Query{}, false
	}
	q := Query{Kind: "a token", Hashes: []string{r.Hash}, Ordinal: r.Ordinal, Claim: r.Claim}
	if r.Ordinal == 1 {
		q.Kind, q.Ordinal = "a hash", 0
	}
	if r.Claim != "" {
		q.Kind = "a hash with a claim"
	}
	return q, true
}

// ofID asks for a Message-ID under every algorithm: which one names it is up
// to each archive's template.
func ofID(canonical []byte) Query {
	q := Query{Kind: messageID}
	if len(canonical) == 0 || hashheader.CheckID(canonical) != nil {
		return q
	}
	for _, a := range hashheader.Algorithms {
		if hash, err := a.Hash(canonical); err == nil {
			q.Hashes = append(q.Hashes, hash)
		}
	}
	return q
}

// ofMessage asks for the reservations of a message, by the lists that the
// policy finds it to be for.
func ofMessage(h hashheader.Header, p *stamp.Policy) (Query, error) {
	id, _, err := h.NameID()
	if err != nil {
		return Query{}, err
	}
	q := ofID(id)
	identity := hashheader.Identify(h, id, p.Identity)
	q.Kind, q.Identity = "a message", &identity
	return q, nil
}

// parseURL reads a URL by the templates of the archives, else by its parts.
func parseURL(text string, p *stamp.Policy) Query {
	l, ok := p.Locate(text)
	if !ok {
		return parseParts(text)
	}
	q, shown := parseReference(l.Reference())
	switch {
	case len(l.MessageID) > 0:
		q = ofID(l.MessageID)
	case !shown:
		q.URL = text
	}
	q.Kind, q.List = "a permalink of the archive "+l.Archive.Name, l.List
	if q.URL != "" {
		q.Kind += ", which shows no token: if it was not confirmed, write the Message-ID"
	}
	return q
}

// parseParts looks for a token among the segments of a URL, from the last, and
// for a list. A URL without a token may be one that an archive confirmed.
func parseParts(text string) Query {
	q := Query{Kind: "a URL of no configured archive"}
	u, err := url.Parse(text)
	if err != nil {
		return q
	}
	segments := strings.Split(u.Path, "/")
	slices.Reverse(segments)
	for _, s := range segments {
		if found, ok := parseReference(s); ok && q.Hashes == nil {
			q.Hashes, q.Ordinal, q.Claim = found.Hashes, found.Ordinal, found.Claim
		}
		if name, err := hashheader.CheckList(s); err == nil && q.List == "" {
			q.List = name
		}
	}
	if q.Hashes == nil {
		q.List, q.URL = "", text
	}
	return q
}

// Exact returns the query for what must mean one reservation: a bare hash is a
// token then, and does not stand for all tokens of the hash.
func (q Query) Exact() Query {
	if len(q.Hashes) == 1 && q.Ordinal == 0 && q.Claim == "" {
		q.Ordinal = 1
	}
	return q
}

// Find yields the reservations that the query means. Without a list, it goes
// through those of all lists. An entry that cannot be read is an error only if
// it may hold one.
func (q Query) Find(ctx context.Context, reg registry.Registry) iter.Seq2[registry.Reservation, error] {
	return func(yield func(registry.Reservation, error) bool) {
		for r, err := range q.held(ctx, reg) {
			wanted := q.means(r)
			if err != nil {
				wanted = r.Hash == "" || q.URL != "" || slices.Contains(q.Hashes, r.Hash)
			}
			if wanted && !yield(r, err) {
				return
			}
		}
	}
}

func (q Query) means(r registry.Reservation) bool {
	if q.URL != "" {
		return q.URL == r.URL
	}
	return slices.Contains(q.Hashes, r.Hash) && (q.Ordinal == 0 || q.Ordinal == r.Ordinal) &&
		strings.HasPrefix(r.Identity.String(), q.Claim) && (q.Identity == nil || *q.Identity == r.Identity)
}

// held yields the reservations of the hashes, and others where no list or no
// hash is known.
func (q Query) held(ctx context.Context, reg registry.Registry) iter.Seq2[registry.Reservation, error] {
	if q.List == "" || q.URL != "" {
		return reg.List(ctx, q.List)
	}
	return func(yield func(registry.Reservation, error) bool) {
		for _, hash := range q.Hashes {
			held, err := reg.LookupHash(ctx, q.List, hash)
			if err != nil {
				yield(registry.Reservation{}, err)
				return
			}
			for _, r := range held {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}
