package httpapi

import (
	"context"
	"errors"
	"net/http"
	"net/url"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
)

// reserve answers POST /api/v1/reservations.
func (x *exchange) reserve() error {
	var body reserveRequest
	if err := x.readJSON(&body); err != nil {
		return err
	}
	if body.Identity == "" {
		return invalid("identity: write the 32 hexadecimal digits that POST /api/v1/messages returns")
	}
	id, err := parseIdentity(body.Identity)
	if err != nil {
		return err
	}
	digest, err := registry.ParseBody(body.Body)
	if err != nil {
		return err
	}
	if err := x.allow(body.List); err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	result, err := x.o.Registry.Reserve(ctx, registry.Request{List: body.List, Hash: body.Hash, Identity: id, Share: body.Share, Body: digest})
	if err != nil {
		return err
	}
	answer := x.reservation(result.Reservation)
	answer.Outcome = result.Outcome.String()
	x.Header().Set("Location", x.root+page.Path("/api/v1/reservations", answer.List, answer.Token))
	status := http.StatusOK
	if result.Outcome == registry.Fresh {
		status = http.StatusCreated
	}
	writeJSON(x, "application/json", status, answer)
	return nil
}

// named returns the list and the reference of a request's path, the caller's
// right to the list checked.
func (x *exchange) named() (list string, ref hashheader.Reference, err error) {
	list, err = hashheader.CheckList(x.r.PathValue("list"))
	if err == nil {
		ref, err = hashheader.ParseReference(x.r.PathValue("token"))
	}
	if err == nil {
		err = x.allow(list)
	}
	return list, ref, err
}

// held returns the reservation that a reference names. A token names its
// holder, a claim the message that it was made of.
func (x *exchange) held(ctx context.Context, list string, ref hashheader.Reference) (registry.Reservation, error) {
	if ref.Claim == "" {
		return x.o.Registry.Lookup(ctx, list, ref.Token())
	}
	all, err := x.behind(ctx, list, ref)
	if err != nil {
		return registry.Reservation{}, err
	}
	if len(all) > 1 {
		return all[0], invalid("%d messages claim %s: write more digits of the identity", len(all), ref)
	}
	return all[0], nil
}

// holder returns the token that a reference names, and the identity that its
// holder must have: the caller's, unless that is zero, or the claimed one.
func (x *exchange) holder(ctx context.Context, list string, ref hashheader.Reference, id hashheader.Identity) (string, hashheader.Identity, error) {
	if ref.Claim == "" {
		return ref.Token(), id, nil
	}
	held, err := x.held(ctx, list, ref)
	if err != nil {
		return "", id, err
	}
	if id == (hashheader.Identity{}) {
		id = held.Identity
	}
	return held.Token(), id, nil
}

// lookup answers GET /api/v1/reservations/{list}/{token}.
func (x *exchange) lookup() error {
	list, ref, err := x.named()
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	found, err := x.held(ctx, list, ref)
	if err != nil {
		return err
	}
	writeJSON(x, "application/json", http.StatusOK, x.reservation(found))
	return nil
}

// lookupHash answers GET /api/v1/hashes/{list}/{hash}: all reservations of a
// hash, or those that a claim behind it is for.
func (x *exchange) lookupHash() error {
	list := x.r.PathValue("list")
	if err := x.allow(list); err != nil {
		return err
	}
	ref, err := hashheader.ParseReference(x.r.PathValue("hash"))
	if err == nil && ref.Claim == "" && ref.Ordinal > 1 {
		_, err = hashheader.CheckHash(ref.Token())
	}
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	all, err := x.behind(ctx, list, ref)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	leave, err := x.answerWith(len(all))
	if err != nil {
		return err
	}
	defer leave()
	answer := reservations{Reservations: []registry.ReservationJSON{}}
	for _, found := range all {
		answer.Reservations = append(answer.Reservations, x.reservation(found))
	}
	writeJSON(x, "application/json", http.StatusOK, answer)
	return nil
}

// confirm answers PUT /api/v1/reservations/{list}/{token}/archived.
func (x *exchange) confirm() error {
	list, ref, err := x.named()
	if err != nil {
		return err
	}
	var body confirmRequest
	if err := x.readJSON(&body); err != nil {
		return err
	}
	id, err := parseIdentity(body.Identity)
	if err == nil {
		err = x.checkTarget(body.URL)
	}
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	token, id, err := x.holder(ctx, list, ref, id)
	if err != nil {
		return err
	}
	done, err := x.o.Registry.Confirm(ctx, registry.Confirmation{List: list, Token: token, Identity: id, URL: body.URL, Subject: body.Subject})
	if err != nil {
		return err
	}
	x.o.Log.Log(ctx, x.confirmedLevel(), "confirmed", "list", list, "token", done.Token(), "url", done.URL)
	writeJSON(x, "application/json", http.StatusOK, x.reservation(done))
	return nil
}

// checkTarget returns an error for a URL that the resolver must not lead to:
// one that is not of the web, one with user information, which serves to
// deceive, and one of the resolver's own.
func (h *Handler) checkTarget(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || !hashheader.IsWeb(u) || u.User != nil:
		return invalid("url %.80q: write the absolute http or https URL of the message in the archive", text)
	case h.ours(text):
		return invalid("url %.80q: it is the permalink itself: write where the archive shows the message", text)
	}
	return nil
}

// release answers DELETE /api/v1/reservations/{list}/{token}.
func (x *exchange) release() error {
	list, ref, err := x.named()
	if err != nil {
		return err
	}
	id, err := parseIdentity(x.r.URL.Query().Get("identity"))
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	token, id, err := x.holder(ctx, list, ref, id)
	if err != nil {
		return err
	}
	if err := x.o.Registry.Release(ctx, list, token, id); err != nil {
		return err
	}
	x.o.Log.Info("released", "list", list, "token", token)
	x.WriteHeader(http.StatusNoContent)
	return nil
}
