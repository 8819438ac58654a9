package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// An Archive is one archive: which lists it holds, and where.
type Archive struct {
	Name  string
	Lists []string // glob patterns on list@host
	List  string   // the list of all messages that name none; may be empty
	// URL is the template of the permalinks that messages carry.
	URL hashheader.Template
	// Target is the template that the resolver follows for a permalink that is
	// reserved, URL where it is zero. It differs from URL where the permalinks
	// are the resolver's own, so that they outlive the archive. One under
	// BaseURL leads nowhere: the resolver would be sent to itself.
	Target hashheader.Template
	Share  bool // one permalink a Message-ID: never a collision's suffix
}

// target returns the template that the resolver follows.
func (a Archive) target() hashheader.Template {
	if a.Target.IsZero() {
		return a.URL
	}
	return a.Target
}

func (a Archive) holds(list string) bool {
	return strings.EqualFold(a.List, list) || slices.ContainsFunc(a.Lists, func(pattern string) bool { return registry.MatchList(pattern, list) })
}

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

// inspect finds out about a message. Lists are those that the caller names;
// without any, those that the message names count.
func (h *Handler) inspect(ctx context.Context, header hashheader.Header, lists []string) (*inspection, error) {
	p := h.policy.Load()
	in := &inspection{Checks: hashheader.Examine(header, p.templates()), Hashes: make(map[string]string), Permalinks: []permalink{}}
	canonical := header.CanonicalID()
	if len(canonical) == 0 {
		if canonical, in.Derived = hashheader.DeriveID(header); !in.Derived {
			return nil, fmt.Errorf("%w: no Message-ID, and neither From nor Date to derive one from", errNoID)
		}
	}
	in.MessageID = string(canonical)
	for _, a := range hashheader.Algorithms {
		if hash, err := a.Hash(canonical); err == nil { // FIPS 140 may forbid some
			in.Hashes[a.String()] = hash
		}
	}
	identity := hashheader.Identify(header, canonical, p.Identity)
	in.Identity = identity.String()
	named, err := checkLists(lists)
	if err != nil {
		return nil, err
	}
	for _, t := range p.targets(header, named) {
		link, err := h.permalinkOf(ctx, t, header, canonical, identity)
		if err != nil {
			return nil, err
		}
		in.Permalinks = append(in.Permalinks, link)
	}
	in.Header = p.stamps(canonical, in.Permalinks)
	return in, nil
}

func checkLists(lists []string) (out []string, err error) {
	if len(lists) > maxLists {
		return nil, invalid("%d lists: name at most %d", len(lists), maxLists)
	}
	for _, list := range lists {
		if list, err = registry.CheckList(list); err != nil {
			return nil, err
		}
		out = append(out, list)
	}
	return out, nil
}

func (p *Policy) templates() (out []hashheader.Template) {
	for _, a := range p.Archives {
		out = append(out, a.URL)
	}
	return out
}

// A target is an archive and the list of it that a message is for.
type target struct {
	archive *Archive
	list    string
}

// targets finds the archives that a message is for, as the milter does, but
// that it sees no envelope.
func (p *Policy) targets(header hashheader.Header, named []string) (out []target) {
	lists := named
	if len(named) == 0 {
		lists = registry.ListsOf(header)
	}
	for i := range p.Archives {
		a := &p.Archives[i]
		if n := slices.IndexFunc(lists, a.holds); n >= 0 {
			out = append(out, target{a, lists[n]})
		} else if a.List != "" && len(named) == 0 {
			out = append(out, target{a, strings.ToLower(a.List)})
		}
	}
	return out
}

// permalinkOf finds the token that a message holds, or would get.
func (h *Handler) permalinkOf(ctx context.Context, t target, header hashheader.Header, canonical []byte, id hashheader.Identity) (permalink, error) {
	algorithm := h.policy.Load().Algorithm
	hash, err := algorithm.Hash(canonical)
	if err != nil {
		return permalink{}, err
	}
	all, err := h.o.Registry.LookupHash(ctx, t.list, hash)
	if err != nil {
		return permalink{}, err
	}
	link := permalink{Archive: t.archive.Name, List: t.list, Token: nextToken(hash, all, t.archive.Share), State: registry.Vacant.String()}
	for _, r := range all {
		if r.Identity == id || t.archive.Share && r.Ordinal == 1 {
			link.Token, link.State, link.Archived = r.Token(), r.State.String(), h.safeURL(r)
		}
	}
	link.Link = h.permalink(link.List, link.Token)
	link.URL, err = t.archive.URL.Expand(hashheader.Permalink{List: t.list, ListID: registry.ListID(header, t.list),
		Token: link.Token, MessageID: canonical, Algorithm: algorithm})
	return link, err
}

// nextToken returns what a message would get that holds nothing yet.
func nextToken(hash string, held []registry.Reservation, share bool) string {
	if len(held) == 0 || share {
		return hash
	}
	return registry.Token(hash, held[len(held)-1].Ordinal+1)
}

// stamps returns the fields that the milter writes.
func (p *Policy) stamps(canonical []byte, links []permalink) []headerLine {
	out := []headerLine{}
	for _, name := range p.Emit {
		a, _ := hashheader.FieldAlgorithm(name)
		if hash, err := a.Hash(canonical); err == nil {
			out = append(out, headerLine{name, hash})
		}
	}
	for _, link := range links {
		out = append(out, headerLine{hashheader.ArchivedAtField, hashheader.ArchivedAt(link.URL)})
	}
	return out
}
