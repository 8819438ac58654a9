package httpapi

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

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
	done, err := x.turn(ctx)
	if err != nil {
		return err
	}
	defer done()
	v := page.Found{MessageID: string(q.messageID), Token: q.ref.String(), List: q.list}
	if q.messageID != nil {
		v.Hashes = hashRows(q.messageID)
	}
	if err := x.find(ctx, q, &v); err != nil {
		return err
	}
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

// maxSearched bounds the lists that are searched where none is named.
const maxSearched = 500

// find looks for the message on its list, or on all that are known, as far as
// the time goes.
func (x *exchange) find(ctx context.Context, q query, v *page.Found) error {
	if q.list != "" {
		return x.findOn(ctx, q, q.list, v)
	}
	lists := x.knownLists(ctx)
	for n, list := range lists {
		if n == maxSearched {
			v.Searched = n
			return nil
		}
		err := x.findOn(ctx, q, list, v)
		if n > 0 && ctx.Err() != nil {
			v.Searched = n
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// knownLists returns the lists that the configuration names without a pattern,
// then the others that the registry holds. They are not shown unless a message
// is found on them: some may be private.
func (x *exchange) knownLists(ctx context.Context) (lists []string) {
	for _, a := range x.policy.Archives {
		for _, name := range append(slices.Clone(a.Lists), a.List) {
			list, err := hashheader.CheckList(name)
			if err == nil && !strings.ContainsAny(list, `*?`) && !slices.Contains(lists, list) {
				lists = append(lists, list)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, x.o.Timeout/2) // the rest is for the search
	defer cancel()
	held, _, err := x.lists.get(ctx, x.o.Now)
	if err != nil {
		x.o.Log.Debug("lists of the registry not read", "error", err)
	}
	for _, list := range held {
		if !slices.Contains(lists, list) {
			lists = append(lists, list)
		}
	}
	return lists
}

// readLists returns the lists that the registry holds, a few more than are
// searched at most.
func (h *Handler) readLists(ctx context.Context) (lists []string, err error) {
	seen := make(map[string]bool)
	for r, err := range h.o.Registry.List(ctx, "") {
		if err != nil {
			return nil, err
		}
		if !seen[r.List] {
			seen[r.List] = true
			lists = append(lists, r.List)
		}
		if len(lists) > maxSearched {
			break
		}
	}
	slices.Sort(lists)
	return lists, nil
}

// keepLists keeps the lists so long that reading them takes a twentieth of the
// time at most, however often they are asked for.
func keepLists(took time.Duration) time.Duration { return max(5*time.Second, 20*took) }

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
func (x *exchange) findOn(ctx context.Context, q query, list string, v *page.Found) error {
	for _, ref := range x.references(q, list) {
		held, err := x.behind(ctx, list, ref)
		if errors.Is(err, registry.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		found := x.choices(held, ref)
		if len(held) == 1 {
			found.Choices[0].Links = x.links(held[0], q.messageID)
		}
		v.Found = append(v.Found, found)
	}
	return nil
}
