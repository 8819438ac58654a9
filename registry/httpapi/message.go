package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
	"permalink-milter/registry/stamp"
)

// An inspection is what the header section of a message shows.
type inspection struct {
	MessageID  string             `json:"message_id"` // canonical
	Derived    bool               `json:"derived"`    // from the originator fields: the message has none
	Hashes     map[string]string  `json:"hashes"`     // by algorithm
	Identity   string             `json:"identity"`
	Header     []page.Row         `json:"header"` // the fields that the filter writes
	Permalinks []page.Permalink   `json:"permalinks"`
	Checks     []hashheader.Check `json:"checks"`

	notes []string
}

// maxPublic bounds the body that a stranger sends, in bytes. A header section
// larger than that is rare, and costs as much as many others.
const maxPublic = 64 << 10

// message answers POST /api/v1/messages. It reserves nothing.
func (x *exchange) message() error {
	if err := wantType(x.r, "message/rfc822", "message/global", "text/rfc822-headers"); err != nil {
		return err
	}
	limit := min(x.o.MaxBody, maxPublic)
	if !x.isStranger() {
		leave, err := take(x.rooms.large)
		if err != nil {
			return err
		}
		defer leave()
		limit = x.o.MaxBody
	}
	if x.r.ContentLength > limit {
		return fmt.Errorf("%w: %d bytes, at most %d are taken", errTooLarge, x.r.ContentLength, limit)
	}
	header, err := readHeader(x.body(limit))
	if err != nil {
		return err
	}
	ctx, cancel := x.budget()
	defer cancel()
	found, err := x.inspect(ctx, header, x.r.URL.Query()["list"])
	if err != nil {
		return err
	}
	writeJSON(x, "application/json", http.StatusOK, found)
	return nil
}

// readHeader reads the header section of a message in a request's body.
func readHeader(r io.Reader) (hashheader.Header, error) {
	h, err := hashheader.ReadHeader(r)
	if errors.Is(err, hashheader.ErrSectionTooBig) {
		return nil, fmt.Errorf("%w: %w", errTooLarge, err)
	}
	return h, bodyError(err)
}

// maxLists bounds the lists that one request may name.
const maxLists = 8

// inspect returns what the filter would make of a message. Lists are those that
// the caller names; where there are none, the message says which.
func (x *exchange) inspect(ctx context.Context, header hashheader.Header, lists []string) (*inspection, error) {
	policy := *x.policy
	policy.Missing = stamp.MissingDerive // what another host generates cannot be known
	named, err := checkLists(lists)
	if err != nil {
		return nil, err
	}
	if _, _, err := header.NameID(); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoID, err)
	}
	done, err := x.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	seen := make(map[string]registry.Reservation)
	d := stamp.Decide(&stamp.Message{Header: header, Lists: named}, &policy, x.offer(ctx, seen))
	if d.Err != nil && !errors.Is(d.Err, registry.ErrFull) {
		return nil, d.Err
	}
	in := newInspection(d)
	in.Checks = hashheader.Examine(header, policy.Site())
	for _, s := range d.Stamps {
		in.Permalinks = append(in.Permalinks, x.permalinkOf(s, seen))
	}
	return in, nil
}

func newInspection(d stamp.Decision) *inspection {
	in := &inspection{MessageID: string(d.MessageID), Derived: d.Derived, Identity: d.Identity.String(), Hashes: make(map[string]string),
		Header: []page.Row{}, Permalinks: []page.Permalink{}, notes: d.Notes}
	for _, a := range hashheader.Algorithms {
		if hash, err := a.Hash(d.MessageID); err == nil { // FIPS 140 may forbid some
			in.Hashes[a.String()] = hash
		}
	}
	for _, f := range d.Fields {
		in.Header = append(in.Header, page.Row(f))
	}
	return in
}

// offer returns what the registry would answer, and reserves nothing. It puts
// the reservations that it reads into seen, by list and token.
func (x *exchange) offer(ctx context.Context, seen map[string]registry.Reservation) stamp.Reserve {
	return func(r registry.Request) (registry.Result, error) {
		held, err := x.o.Registry.LookupHash(ctx, r.List, r.Hash)
		if err != nil {
			return registry.Result{}, err
		}
		for _, one := range held {
			seen[page.Path(r.List, one.Token())] = one
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
func (x *exchange) permalinkOf(s stamp.Stamp, seen map[string]registry.Reservation) page.Permalink {
	holder := seen[page.Path(s.List, s.Token)]
	return page.Permalink{Archive: s.Archive.Name, List: s.List, Token: s.Token, URL: s.URL, State: holder.State.String(),
		Archived: x.safeURL(holder), Link: x.permalink(s.List, s.Token)}
}
