package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// reserve answers POST /api/v1/reservations.
func (h *Handler) reserve(w http.ResponseWriter, r *http.Request) error {
	var body reserveRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if body.Identity == "" {
		return invalid("identity: write the 32 hexadecimal digits that POST /api/v1/messages returns")
	}
	id, err := parseIdentity(body.Identity)
	if err != nil {
		return err
	}
	if err := h.allow(r, ScopeReserve, body.List); err != nil {
		return err
	}
	ctx, cancel := h.budget(r)
	defer cancel()
	result, err := h.o.Registry.Reserve(ctx, registry.Request{List: body.List, Hash: body.Hash, Identity: id, Share: body.Share})
	if err != nil {
		return err
	}
	answer := h.reservation(result.Reservation)
	answer.Outcome = result.Outcome.String()
	w.Header().Set("Location", h.root+path("/api/v1/reservations", answer.List, answer.Token))
	status := http.StatusOK
	if result.Outcome == registry.Fresh {
		status = http.StatusCreated
	}
	writeJSON(w, "application/json", status, answer)
	return nil
}

// named returns list and token of a request's path, the caller's right to
// them checked.
func (h *Handler) named(r *http.Request, scope Scope) (list, token string, err error) {
	list, err = hashheader.CheckList(r.PathValue("list"))
	if err == nil {
		_, _, err = hashheader.ParseToken(r.PathValue("token"))
	}
	if err == nil {
		err = h.allow(r, scope, list)
	}
	return list, r.PathValue("token"), err
}

// lookup answers GET /api/v1/reservations/{list}/{token}.
func (h *Handler) lookup(w http.ResponseWriter, r *http.Request) error {
	list, token, err := h.named(r, ScopeRead)
	if err != nil {
		return err
	}
	ctx, cancel := h.budget(r)
	defer cancel()
	found, err := h.o.Registry.Lookup(ctx, list, token)
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, h.reservation(found))
	return nil
}

// lookupHash answers GET /api/v1/hashes/{list}/{hash}.
func (h *Handler) lookupHash(w http.ResponseWriter, r *http.Request) error {
	list := r.PathValue("list")
	if err := h.allow(r, ScopeRead, list); err != nil {
		return err
	}
	ctx, cancel := h.budget(r)
	defer cancel()
	all, err := h.o.Registry.LookupHash(ctx, list, r.PathValue("hash"))
	if err != nil {
		return err
	}
	answer := reservations{Reservations: []reservation{}}
	for _, found := range all {
		answer.Reservations = append(answer.Reservations, h.reservation(found))
	}
	writeJSON(w, "application/json", http.StatusOK, answer)
	return nil
}

// confirm answers PUT /api/v1/reservations/{list}/{token}/archived.
func (h *Handler) confirm(w http.ResponseWriter, r *http.Request) error {
	list, token, err := h.named(r, ScopeConfirm)
	if err != nil {
		return err
	}
	var body confirmRequest
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	id, err := parseIdentity(body.Identity)
	if err == nil {
		err = h.checkTarget(body.URL)
	}
	if err != nil {
		return err
	}
	ctx, cancel := h.budget(r)
	defer cancel()
	done, err := h.o.Registry.Confirm(ctx, registry.Confirmation{List: list, Token: token, Identity: id, URL: body.URL, Subject: body.Subject})
	if err != nil {
		return err
	}
	h.o.Log.Info("confirmed", "list", list, "token", done.Token(), "url", done.URL)
	writeJSON(w, "application/json", http.StatusOK, h.reservation(done))
	return nil
}

// checkTarget returns an error for a URL that the resolver would not lead to:
// one that is not of the web, one with a user's name in it, which serves to
// deceive, and one of the resolver's own.
func (h *Handler) checkTarget(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || !isWeb(u) || u.User != nil:
		return invalid("url %.80q: write the absolute http or https URL of the message in the archive", text)
	case h.ours(text):
		return invalid("url %.80q: it is the permalink itself: write where the archive shows the message", text)
	}
	return nil
}

func isWeb(u *url.URL) bool { return (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" }

// ours tells if a URL is the resolver's, by http or https.
func (h *Handler) ours(text string) bool {
	_, base, _ := strings.Cut(strings.ToLower(h.o.BaseURL), "://")
	_, target, _ := strings.Cut(strings.ToLower(text), "://")
	return base != "" && strings.HasPrefix(target+"/", base+"/")
}

// release answers DELETE /api/v1/reservations/{list}/{token}.
func (h *Handler) release(w http.ResponseWriter, r *http.Request) error {
	list, token, err := h.named(r, ScopeRelease)
	if err != nil {
		return err
	}
	id, err := parseIdentity(r.URL.Query().Get("identity"))
	if err != nil {
		return err
	}
	ctx, cancel := h.budget(r)
	defer cancel()
	if err := h.o.Registry.Release(ctx, list, token, id); err != nil {
		return err
	}
	h.o.Log.Info("released", "list", list, "token", token)
	w.WriteHeader(http.StatusNoContent)
	return nil
}
