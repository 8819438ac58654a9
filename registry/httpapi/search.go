package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A finding is what a search found.
type finding struct {
	Query     string
	MessageID string       // canonical; empty for a token
	Hashes    []headerLine // of the Message-ID
	Token     string
	Lists     []string // where it was looked for
	Found     []choices
}

// search answers GET /search?q=…&list=…: q is a token, a permalink or a
// Message-ID. It shows links and does not redirect: form-action of our
// Content-Security-Policy holds for where a form's answer redirects to.
func (h *Handler) search(w http.ResponseWriter, r *http.Request) error {
	f := finding{Query: strings.TrimSpace(r.URL.Query().Get("q"))}
	list := strings.TrimSpace(r.URL.Query().Get("list"))
	if f.Query == "" || len(f.Query) > maxValue {
		return invalid("search: write a Message-ID, a token or a permalink")
	}
	if l, token, ok := splitPermalink(f.Query); ok {
		list, f.Token = l, token
	} else if _, _, err := registry.ParseToken(f.Query); err == nil {
		f.Token = strings.ToUpper(f.Query)
	} else if err := h.hashQuery(&f); err != nil {
		return err
	}
	f.Lists = h.policy.Load().knownLists()
	if list != "" {
		list, err := registry.CheckList(list)
		if err != nil {
			return err
		}
		f.Lists = []string{list}
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
	_, _, err = registry.ParseToken(token)
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
	f.MessageID, f.Hashes = string(canonical), hashRows(canonical)
	f.Token, err = h.policy.Load().Algorithm.Hash(canonical)
	return err
}

// find looks for the token on each list.
func (h *Handler) find(ctx context.Context, f *finding) error {
	for _, list := range f.Lists {
		held, err := h.behind(ctx, list, f.Token)
		if errors.Is(err, registry.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		on := choices{List: list, Token: f.Token}
		for _, r := range held {
			on.Choices = append(on.Choices, h.choice(r, []byte(f.MessageID)))
		}
		f.Found = append(f.Found, on)
	}
	return nil
}
