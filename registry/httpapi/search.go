package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
)

// A query is what a search looks for, and where.
type query struct {
	messageID []byte               // canonical; nil for a token
	ref       hashheader.Reference // of the message, by the policy's algorithm
	list      string               // empty: everywhere
}

// search answers GET /search?q=…&list=…: q is a token, a permalink or a
// Message-ID. It shows links and does not redirect: form-action of our
// Content-Security-Policy holds for where a form's answer redirects to.
func (x *exchange) search() error {
	q, err := x.readQuery()
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	v := page.Found{MessageID: string(q.messageID), Token: q.ref.String(), List: q.list}
	if q.messageID != nil {
		v.Hashes = hashRows(q.messageID)
	}
	if err := x.find(ctx, q, &v); err != nil {
		return err
	}
	messages := 0
	for _, choices := range v.Found {
		messages += len(choices.Choices)
	}
	leave, err := x.answerWith(messages)
	if err != nil {
		return err
	}
	defer leave()
	status := http.StatusOK
	if len(v.Found) == 0 && v.MessageID == "" {
		status = http.StatusNotFound
	}
	x.render(status, v)
	return nil
}

// readQuery finds out what is looked for, and where.
func (x *exchange) readQuery() (q query, err error) {
	text := strings.TrimSpace(x.r.URL.Query().Get("q"))
	list := strings.TrimSpace(x.r.URL.Query().Get("list"))
	if text == "" || len(text) > maxValue {
		return q, invalid("search: write a Message-ID, a token or a permalink")
	}
	on := ""
	on, q.ref, err = x.readReference(text)
	if err != nil && !errors.Is(err, errShowsNoToken) {
		q.messageID, q.ref, err = x.readMessageID(text)
	}
	if err != nil {
		return q, err
	}
	if list = cmp.Or(on, list); list != "" {
		q.list, err = hashheader.CheckList(list)
	}
	return q, err
}

// errShowsNoToken is returned for a permalink that is a digest of more than the
// Message-ID. Only the Message-ID finds its message.
var errShowsNoToken = invalid("search: this permalink shows no token: write the Message-ID of its message")

// readReference reads a permalink, of an archive's template or of a resolver,
// or what stands behind its list. List is empty where it shows none.
func (x *exchange) readReference(text string) (list string, ref hashheader.Reference, err error) {
	if l, ok := x.policy.Locate(text); ok {
		if list, text = l.List, l.Reference(); text == "" {
			return "", ref, errShowsNoToken
		}
	} else if u, err := url.Parse(text); err == nil && hashheader.IsWeb(u) {
		list, text = splitPermalink(u)
	}
	ref, err = hashheader.ParseReference(text)
	return list, ref, err
}

// splitPermalink returns the last two segments of a path, where the first of
// them can be a list.
func splitPermalink(u *url.URL) (list, token string) {
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 || !strings.Contains(parts[len(parts)-2], "@") {
		return "", ""
	}
	return parts[len(parts)-2], parts[len(parts)-1]
}

// readMessageID reads a Message-ID, or a whole field of it.
func (x *exchange) readMessageID(text string) (canonical []byte, ref hashheader.Reference, err error) {
	if name, value, ok := strings.Cut(text, ":"); ok && (hashheader.Field{Name: name}).Is(hashheader.MessageIDField) {
		text = value
	}
	canonical = hashheader.Canonical(nil, text)
	if len(canonical) == 0 {
		return nil, ref, invalid("search: nothing is left of the Message-ID")
	}
	if err := hashheader.CheckID(canonical); err != nil {
		return nil, ref, invalid("search: %v", err)
	}
	hash, err := x.policy.Algorithm.Hash(canonical)
	return canonical, hashheader.Reference{Hash: hash, Ordinal: 1}, err
}

// references returns what to look up on a list: the token, or the hashes of
// the Message-ID by each algorithm that an archive of the list has. A list of
// no archive may have any.
func (x *exchange) references(q query, list string) []hashheader.Reference {
	refs := []hashheader.Reference{q.ref}
	if q.messageID == nil {
		return refs
	}
	for _, algorithm := range x.algorithms(list) {
		hash, err := algorithm.Hash(q.messageID)
		ref := hashheader.Reference{Hash: hash, Ordinal: 1}
		if err == nil && !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs
}

func (x *exchange) algorithms(list string) (all []hashheader.Algorithm) {
	holding := x.policy.Holding(list)
	if len(holding) == 0 {
		return hashheader.Algorithms[:]
	}
	for _, a := range holding {
		all = append(all, x.policy.AlgorithmOf(a))
	}
	return all
}

// findOn looks for the message on one list.
func (x *exchange) findOn(ctx context.Context, q query, list string) (found []page.Choices, err error) {
	for _, ref := range x.references(q, list) {
		held, err := x.behind(ctx, list, ref)
		if errors.Is(err, registry.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		choices := x.choices(held, ref)
		if len(held) == 1 {
			choices.Choices[0].Links = x.links(held[0], q.messageID)
		}
		found = append(found, choices)
	}
	return found, nil
}
