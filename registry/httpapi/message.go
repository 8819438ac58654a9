package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// An inspection is what can be told of a message from its header section.
type inspection struct {
	MessageID  string             `json:"message_id"` // canonical
	Derived    bool               `json:"derived"`    // from the originator fields: the message has none
	Hashes     map[string]string  `json:"hashes"`     // by algorithm
	Identity   string             `json:"identity"`
	Header     []headerLine       `json:"header"`
	Permalinks []permalink        `json:"permalinks"`
	Checks     []hashheader.Check `json:"checks"`
}

// A headerLine is a field that the milter would stamp.
type headerLine struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// A permalink is where one archive has, or will have, the message.
type permalink struct {
	Archive  string `json:"archive"`
	List     string `json:"list"`
	Token    string `json:"token"`
	URL      string `json:"url"`                // of the archive's template
	State    string `json:"state"`              // vacant: not reserved
	Archived string `json:"archived,omitempty"` // the confirmed URL
	Link     string `json:"permalink"`          // through the resolver
}

// message answers POST /api/v1/messages. It reserves nothing.
func (h *Handler) message(w http.ResponseWriter, r *http.Request) error {
	if err := wantType(r, "message/rfc822", "message/global", "text/rfc822-headers"); err != nil {
		return err
	}
	if r.ContentLength > h.o.MaxBody {
		return fmt.Errorf("%w: %d bytes, at most %d are taken", errTooLarge, r.ContentLength, h.o.MaxBody)
	}
	header, err := readHeader(http.MaxBytesReader(w, r.Body, h.o.MaxBody))
	if err != nil {
		return err
	}
	ctx, cancel := h.budget(r)
	defer cancel()
	found, err := h.inspect(ctx, header, r.URL.Query()["list"])
	if err != nil {
		return err
	}
	writeJSON(w, "application/json", http.StatusOK, found)
	return nil
}

// maxLists bounds the lists that one request may name.
const maxLists = 8

// inspect returns what the milter would make of a message. Lists are those that
// the caller names; where there are none, the message says which.
func (h *Handler) inspect(ctx context.Context, header hashheader.Header, lists []string) (*inspection, error) {
	policy := *h.policy.Load()
	policy.Missing = stamp.MissingDerive // what another host generates cannot be known
	named, err := checkLists(lists)
	if err != nil {
		return nil, err
	}
	if _, _, err := header.NameID(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoID, err)
	}
	seen := make(map[string]registry.Reservation)
	d := stamp.Decide(&stamp.Message{Header: header, Lists: named}, &policy, h.offer(ctx, seen))
	if d.Err != nil && !errors.Is(d.Err, registry.ErrFull) {
		return nil, d.Err
	}
	in := &inspection{MessageID: string(d.MessageID), Derived: d.Derived, Identity: d.Identity.String(), Hashes: make(map[string]string),
		Header: []headerLine{}, Permalinks: []permalink{}, Checks: hashheader.Examine(header, policy.Templates())}
	for _, a := range hashheader.Algorithms {
		if hash, err := a.Hash(d.MessageID); err == nil { // FIPS 140 may forbid some
			in.Hashes[a.String()] = hash
		}
	}
	for _, s := range d.Stamps {
		in.Permalinks = append(in.Permalinks, h.permalinkOf(s, seen))
	}
	for _, f := range d.Fields {
		in.Header = append(in.Header, headerLine(f))
	}
	return in, nil
}

// offer returns what the registry would answer, and reserves nothing. It puts
// the reservations that it reads into seen, by list and token.
func (h *Handler) offer(ctx context.Context, seen map[string]registry.Reservation) stamp.Reserve {
	return func(r registry.Request) (registry.Result, error) {
		held, err := h.o.Registry.LookupHash(ctx, r.List, r.Hash)
		if err != nil {
			return registry.Result{}, err
		}
		for _, one := range held {
			seen[path(r.List, one.Token())] = one
		}
		return registry.Offer(held, r)
	}
}

func checkLists(lists []string) (out []string, err error) {
	if len(lists) > maxLists {
		return nil, invalid("%d lists: name at most %d", len(lists), maxLists)
	}
	for _, list := range lists {
		if list, err = hashheader.CheckList(list); err != nil {
			return nil, err
		}
		out = append(out, list)
	}
	return out, nil
}

// permalinkOf describes a stamp. Its token may be another message's, where the
// archive keeps one message per Message-ID.
func (h *Handler) permalinkOf(s stamp.Stamp, seen map[string]registry.Reservation) permalink {
	holder := seen[path(s.List, s.Token)]
	return permalink{Archive: s.Archive.Name, List: s.List, Token: s.Token, URL: s.URL, State: holder.State.String(),
		Archived: h.safeURL(holder), Link: h.permalink(s.List, s.Token)}
}
