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
	"permalink-milter/registry/stamp"
)

// A finding is what a search found.
type finding struct {
	Query     string
	MessageID string       // canonical; empty for a token
	Hashes    []headerLine // of the Message-ID
	Token     string
	List      string // where it was looked for; empty: on the known lists
	Found     []choices
}

// search answers GET /search?q=…&list=…: q is a token, a permalink or a
// Message-ID. It shows links and does not redirect: form-action of our
// Content-Security-Policy holds for where a form's answer redirects to.
func (h *Handler) search(w http.ResponseWriter, r *http.Request) error {
	f, err := h.readQuery(r)
	if err != nil {
		return err
	}
	ctx, cancel := h.budget(r)
	defer cancel()
	if err := h.find(ctx, &f); err != nil {
		return err
	}
	status := http.StatusOK
	if len(f.Found) == 0 && f.MessageID == "" {
		status = http.StatusNotFound
	}
	h.render(w, status, "found", f)
	return nil
}

// readQuery finds out what is looked for, and where.
func (h *Handler) readQuery(r *http.Request) (f finding, err error) {
	f.Query = strings.TrimSpace(r.URL.Query().Get("q"))
	list := strings.TrimSpace(r.URL.Query().Get("list"))
	if f.Query == "" || len(f.Query) > maxValue {
		return f, invalid("search: write a Message-ID, a token or a permalink")
	}
	if l, ok := h.policy.Load().Locate(f.Query); ok {
		list, f.Token = cmp.Or(l.List, list), l.Token
	} else if l, token, ok := splitPermalink(f.Query); ok {
		list, f.Token = l, token
	} else if _, _, bad := hashheader.ParseToken(f.Query); bad == nil {
		f.Token = strings.ToUpper(f.Query)
	} else if err := h.hashQuery(&f); err != nil {
		return f, err
	}
	if list != "" {
		f.List, err = hashheader.CheckList(list)
	}
	return f, err
}

// splitPermalink takes the list and the token off the end of a URL.
func splitPermalink(query string) (list, token string, ok bool) {
	u, err := url.Parse(query)
	if err != nil || !isWeb(u) {
		return "", "", false
	}
	parts := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(parts) < 2 {
		return "", "", false
	}
	list, token = parts[len(parts)-2], parts[len(parts)-1]
	_, _, err = hashheader.ParseToken(token)
	return list, strings.ToUpper(token), err == nil && strings.Contains(list, "@")
}

// hashQuery takes the query for a Message-ID, or a whole field of it.
func (h *Handler) hashQuery(f *finding) (err error) {
	value := f.Query
	if name, rest, ok := strings.Cut(value, ":"); ok && (hashheader.Field{Name: name}).Is(hashheader.MessageIDField) {
		value = rest
	}
	canonical := hashheader.Canonical(nil, value)
	if len(canonical) == 0 {
		return invalid("search: nothing is left of the Message-ID")
	}
	if err := hashheader.CheckID(canonical); err != nil {
		return invalid("search: %v", err)
	}
	f.MessageID, f.Hashes = string(canonical), hashRows(canonical)
	f.Token, err = h.policy.Load().Algorithm.Hash(canonical)
	return err
}

// maxSearched bounds the lists that are searched where none is named.
const maxSearched = 50

// knownLists returns the lists that the configuration names without a pattern,
// the first maxSearched of them. They are not shown: some may be private.
func knownLists(p *stamp.Policy) (lists []string) {
	for _, a := range p.Archives {
		for _, name := range append(slices.Clone(a.Lists), a.List) {
			list, err := hashheader.CheckList(name)
			if err == nil && !strings.ContainsAny(list, `*?`) && !slices.Contains(lists, list) {
				lists = append(lists, list)
			}
		}
	}
	return lists[:min(len(lists), maxSearched)]
}

// tokens returns what to look up on a list: the token, or the hashes of the
// Message-ID by each algorithm that an archive of the list has.
func (f *finding) tokens(p *stamp.Policy, list string) []string {
	tokens := []string{f.Token}
	if f.MessageID == "" {
		return tokens
	}
	for _, a := range p.Holding(list) {
		hash, err := p.AlgorithmOf(a).Hash([]byte(f.MessageID))
		if err == nil && !slices.Contains(tokens, hash) {
			tokens = append(tokens, hash)
		}
	}
	return tokens
}

// find looks for the token on its list, or on all that are known.
func (h *Handler) find(ctx context.Context, f *finding) error {
	p := h.policy.Load()
	lists := []string{f.List}
	if f.List == "" {
		lists = knownLists(p)
	}
	for _, list := range lists {
		for _, token := range f.tokens(p, list) {
			if err := h.findOn(ctx, f, list, token); err != nil {
				return err
			}
		}
	}
	return nil
}

// findOn looks for one token on one list.
func (h *Handler) findOn(ctx context.Context, f *finding, list, token string) error {
	held, err := h.behind(ctx, list, token)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	on := choices{List: list, Token: token}
	for _, r := range held {
		on.Choices = append(on.Choices, h.choice(r, []byte(f.MessageID)))
	}
	f.Found = append(f.Found, on)
	return nil
}
