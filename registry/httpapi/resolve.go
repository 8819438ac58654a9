package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
	"permalink-milter/registry/stamp"
)

// movedFor is how long a client may remember where an archived permalink
// leads: archives move, and the permalink stays.
const movedFor = "public, max-age=86400"

// asked returns the list and the token of the permalink that was asked for:
// those of an archive's template under BaseURL, else of /LIST/TOKEN.
func (x *exchange) asked() (list, token string) {
	if l, ok := x.policy.Locate(x.o.BaseURL + x.r.URL.EscapedPath()); ok && l.List != "" && l.Token != "" {
		return l.List, l.Reference()
	}
	return x.r.PathValue("list"), x.r.PathValue("token")
}

// resolve answers GET /{list}/{token}, and what else is a permalink: a redirect to the one place that it
// leads to, or the choice. It redirects to nothing but a URL that was
// confirmed or one of a configured template.
func (x *exchange) resolve() error {
	ctx, cancel := x.budget()
	defer cancel()
	list, token := x.asked()
	ref, err := hashheader.ParseReference(token)
	var held []registry.Reservation
	if err == nil {
		held, err = x.behind(ctx, list, ref)
	}
	switch {
	case errors.Is(err, registry.ErrInvalid):
		return fmt.Errorf("%w: %v", errNoLink, err)
	case errors.Is(err, registry.ErrNotFound):
		return fmt.Errorf("%w: no message holds %.120q on %.254q", errNoLink, token, list)
	case err != nil:
		return err
	}
	x.Header().Set("Vary", "Accept")
	if one, ok := x.only(held, ref); ok {
		x.lead(one, ref)
		return nil
	}
	x.offerChoice(http.StatusMultipleChoices, x.choices(held, ref))
	return nil
}

// behind returns the reservations that a reference may mean: for a bare hash
// all of it, since whoever computed it may mean any. There is at least one, or
// an error.
func (x *exchange) behind(ctx context.Context, list string, ref hashheader.Reference) (held []registry.Reservation, err error) {
	if ref.Claim == "" && ref.Ordinal > 1 {
		one, err := x.o.Registry.Lookup(ctx, list, ref.Token())
		return []registry.Reservation{one}, err
	}
	done, err := x.turnOfHash(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	held, err = x.o.Registry.LookupHash(ctx, list, ref.Hash)
	if ref.Claim != "" {
		held = slices.DeleteFunc(held, func(r registry.Reservation) bool { return !ref.Claims(r.Identity) })
	}
	if err == nil && len(held) == 0 {
		err = fmt.Errorf("look up %s on %s: %w", ref, list, registry.ErrNotFound)
	}
	return held, err
}

// only returns the one message that a reference can lead to: the one that is
// archived, whatever reservations stand beside it, or the one that holds just
// this reference. A reservation alone cannot hide an archived message: anyone
// whose mail passes the filter can make one.
func (x *exchange) only(held []registry.Reservation, ref hashheader.Reference) (one registry.Reservation, ok bool) {
	if len(held) == 1 && names(ref, held[0]) {
		return held[0], true
	}
	archived := 0
	for _, r := range held {
		if x.safeURL(r) != "" {
			one = r
			archived++
		}
	}
	if archived == 1 {
		return one, true
	}
	return registry.Reservation{}, false
}

// names reports whether a reference names this message and not another one.
func names(ref hashheader.Reference, r registry.Reservation) bool {
	return ref.Claim != "" || ref.Ordinal == r.Ordinal
}

// lead redirects to a message's archive. Where there are several or none, it
// says so.
func (x *exchange) lead(r registry.Reservation, ref hashheader.Reference) {
	if url := x.safeURL(r); url != "" {
		x.leadConfirmed(url, names(ref, r))
		return
	}
	links := x.likely(r, nil)
	if len(links) == 1 {
		http.Redirect(x, x.r, links[0].URL, http.StatusFound)
		return
	}
	found := x.choices([]registry.Reservation{r}, ref)
	found.Choices[0].Links = links
	status := http.StatusMultipleChoices
	if len(links) == 0 {
		status = http.StatusNotFound
	}
	x.offerChoice(status, found)
}

// leadConfirmed redirects to where a message was confirmed to be, for long where
// the reference will always name it.
func (x *exchange) leadConfirmed(url string, always bool) {
	status := http.StatusFound
	if always {
		x.Header().Set("Cache-Control", movedFor)
		status = http.StatusMovedPermanently
	}
	http.Redirect(x, x.r, url, status)
}

func (x *exchange) offerChoice(status int, found page.Choices) {
	if wantsJSON(x.r) {
		writeJSON(x, "application/json", status, found)
		return
	}
	x.render(status, found)
}

// maxChoices bounds the messages of a choice. Anyone whose mail passes the filter
// can give a hash 999 of them, and a page of all would cost as much as a hundred
// other requests, which no limit counts.
const maxChoices = 20

// choices describes the messages that a reference may mean, the archived ones
// before the others if there are more than maxChoices. It links what opens: the
// archived ones, or all of them where no archive has confirmed any.
func (x *exchange) choices(held []registry.Reservation, ref hashheader.Reference) page.Choices {
	found := page.Choices{List: held[0].List, Token: ref.String()}
	var archived, others []registry.Reservation
	for _, r := range held {
		if x.safeURL(r) != "" {
			archived = append(archived, r)
		} else if len(others) < maxChoices {
			others = append(others, r)
		}
		if len(archived) == maxChoices {
			break
		}
	}
	shown := slices.Concat(archived, others)
	shown = shown[:min(len(shown), maxChoices)]
	slices.SortFunc(shown, func(a, b registry.Reservation) int { return a.Ordinal - b.Ordinal })
	found.More = len(held) - len(shown)
	for _, r := range shown {
		c := x.choice(r)
		if url := x.safeURL(r); url != "" {
			c.Links = append(c.Links, page.Link{URL: url})
		}
		c.Waits = len(archived) > 0 && len(c.Links) == 0
		found.Choices = append(found.Choices, c)
	}
	return found
}

// choice describes a message, without links.
func (x *exchange) choice(r registry.Reservation) page.Choice {
	claim := hashheader.Reference{Hash: r.Hash, Ordinal: 1, Claim: r.Identity.Claim()}
	return page.Choice{Token: r.Token(), State: r.State.String(), Since: r.Since, Subject: r.Subject,
		Permalink: x.permalink(r.List, claim.String()), Links: []page.Link{}}
}

// links returns where a message may be: the URL that was confirmed, else what
// the template of each archive makes of the token, and of the canonical
// Message-ID where it is known.
func (x *exchange) links(r registry.Reservation, canonical []byte) []page.Link {
	if url := x.safeURL(r); url != "" {
		return []page.Link{{URL: url}}
	}
	return x.likely(r, canonical)
}

// likely returns where a message may be that nobody confirmed.
func (x *exchange) likely(r registry.Reservation, canonical []byte) []page.Link {
	links := []page.Link{}
	algorithm, _ := hashheader.HashAlgorithm(r.Hash)
	for _, a := range x.policy.Holding(r.List) {
		if x.policy.AlgorithmOf(a) != algorithm {
			continue // the archive's own token is another one
		}
		url, err := a.Following().Expand(x.values(r, a, canonical))
		if err == nil && !x.ours(url) {
			links = append(links, page.Link{Archive: a.Name, URL: url})
		}
	}
	return links
}

// values returns what an archive's template is filled with.
func (x *exchange) values(r registry.Reservation, a *stamp.Archive, canonical []byte) hashheader.Permalink {
	token := r.Token()
	if a.Share {
		token = r.Hash
	}
	return hashheader.Permalink{List: r.List, ListID: stamp.ListID(nil, r.List), Token: token, MessageID: canonical,
		Hash: r.Hash, Algorithm: x.policy.Algorithm, Identity: r.Identity}
}

// safeURL returns the confirmed URL if it may be followed: other programs
// confirm in the registry too.
func (x *exchange) safeURL(r registry.Reservation) string {
	if r.State != registry.Archived || x.checkTarget(r.URL) != nil {
		return ""
	}
	return r.URL
}
