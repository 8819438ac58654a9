package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// movedFor is how long a client may remember where an archived permalink
// leads: archives move, and the permalink stays.
const movedFor = "public, max-age=86400"

// A choice is one place that a permalink may lead to.
type choice struct {
	Token   string    `json:"token"`
	State   string    `json:"state"`
	Since   time.Time `json:"since"`
	Subject string    `json:"subject,omitempty"`
	Links   []link    `json:"links"`
}

// A link is one archive's URL of a message; the archive's name is empty for
// the URL that was confirmed.
type link struct {
	Archive string `json:"archive,omitempty"`
	URL     string `json:"url"`
}

// choices is what there is where a permalink leads to more than one place,
// or to none yet.
type choices struct {
	List    string   `json:"list"`
	Token   string   `json:"token"`
	Choices []choice `json:"choices"`
}

// resolve answers GET /{list}/{token}: a redirect to the one place that it
// leads to, or the choice. It never redirects to anything but a URL that was
// confirmed or one of a configured template.
func (h *Handler) resolve(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := h.budget(r)
	defer cancel()
	held, err := h.behind(ctx, r.PathValue("list"), r.PathValue("token"))
	switch {
	case errors.Is(err, registry.ErrInvalid):
		return fmt.Errorf("%w: %v", errNoLink, err)
	case errors.Is(err, registry.ErrNotFound):
		return fmt.Errorf("%w: no message holds %.80q on %.254q", errNoLink, r.PathValue("token"), r.PathValue("list"))
	case err != nil:
		return err
	}
	w.Header().Set("Vary", "Accept")
	found := choices{List: held[0].List, Token: hashheader.Token(held[0].Hash, 1)}
	for _, one := range held {
		found.Choices = append(found.Choices, h.choice(one, nil))
	}
	if _, ordinal, _ := hashheader.ParseToken(r.PathValue("token")); len(held) > 1 || held[0].Ordinal != ordinal {
		h.offerChoice(w, r, http.StatusMultipleChoices, found)
		return nil
	}
	found.Token = held[0].Token()
	switch links := found.Choices[0].Links; {
	case len(links) == 1 && h.safeURL(held[0]) != "":
		w.Header().Set("Cache-Control", movedFor)
		http.Redirect(w, r, links[0].URL, http.StatusMovedPermanently)
	case len(links) == 1:
		http.Redirect(w, r, links[0].URL, http.StatusFound)
	case len(links) > 1:
		h.offerChoice(w, r, http.StatusMultipleChoices, found)
	default:
		h.offerChoice(w, r, http.StatusNotFound, found)
	}
	return nil
}

// behind returns the reservations that a token may mean: for a bare hash all
// of it, since whoever computed it may mean any. There is at least one, or an
// error.
func (h *Handler) behind(ctx context.Context, list, token string) ([]registry.Reservation, error) {
	hash, ordinal, err := hashheader.ParseToken(token)
	if err != nil {
		return nil, err
	}
	if ordinal > 1 {
		one, err := h.o.Registry.Lookup(ctx, list, token)
		return []registry.Reservation{one}, err
	}
	all, err := h.o.Registry.LookupHash(ctx, list, hash)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("look up %s on %s: %w", token, list, registry.ErrNotFound)
	}
	return all, err
}

func (h *Handler) offerChoice(w http.ResponseWriter, r *http.Request, status int, found choices) {
	if wantsJSON(r) {
		writeJSON(w, "application/json", status, found)
		return
	}
	h.render(w, status, "choices", found)
}

// choice tells where a message may be found: the URL that was confirmed, else
// what each archive's template makes of the token, and of the canonical
// Message-ID where it is known.
func (h *Handler) choice(r registry.Reservation, canonical []byte) choice {
	c := choice{Token: r.Token(), State: r.State.String(), Since: r.Since, Subject: r.Subject, Links: []link{}}
	if url := h.safeURL(r); url != "" {
		c.Links = append(c.Links, link{"", url})
		return c
	}
	p := h.policy.Load()
	algorithm, _ := hashheader.HashAlgorithm(r.Hash)
	for _, a := range p.Holding(r.List) {
		if p.AlgorithmOf(a) != algorithm {
			continue // the archive's own token is another one
		}
		token := r.Token()
		if a.Share {
			token = r.Hash
		}
		url, err := a.Following().Expand(hashheader.Permalink{List: r.List, ListID: stamp.ListID(nil, r.List), Token: token,
			MessageID: canonical, Hash: r.Hash, Algorithm: p.Algorithm})
		if err == nil && !h.ours(url) {
			c.Links = append(c.Links, link{a.Name, url})
		}
	}
	return c
}

// safeURL returns the confirmed URL if it may be followed: registries hold
// what other programs confirmed, too.
func (h *Handler) safeURL(r registry.Reservation) string {
	if r.State != registry.Archived || h.checkTarget(r.URL) != nil {
		return ""
	}
	return r.URL
}
