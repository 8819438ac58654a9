package lmtp

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// domains are those of a server, in lower case.
type domains []*Domain

func newDomains(configured []Domain) (all domains, err error) {
	for _, d := range configured {
		list, err := hashheader.CheckList(d.List)
		if err != nil {
			return nil, fmt.Errorf("lmtp: domain %q: %w", d.Name, err)
		}
		all = append(all, &Domain{strings.ToLower(d.Name), list, d.URL, d.Delivery})
	}
	return all, nil
}

func (all domains) close() {
	for _, d := range all {
		d.Delivery.close()
	}
}

// find returns the domain that a recipient names: of those with its host, the
// one whose list has the name, or the first where the recipient has no name.
func (all domains) find(a Address) (*Domain, *smtp.SMTPError) {
	refusal := noSuchDomain(a)
	for _, d := range all {
		if d.Name != a.Domain {
			continue
		}
		if a.Name == "" || strings.HasPrefix(d.List, a.Name+"@") {
			return d, nil
		}
		refusal = noSuchList(a)
	}
	return nil, refusal
}

// offer answers RCPT: nil accepts the recipient.
func (s *Server) offer(from string, a Address, to *Domain) *smtp.SMTPError {
	held, refusal := s.holders(s.ctx, a, to)
	if refusal != nil {
		return refusal
	}
	again := s.recent.knows(passage{to.List, a.Token(), from}) || to.Delivery.unsettled(to.List, a.Token())
	return judge(a, to.List, held, again)
}

// holders returns the reservations of a recipient's hash, by ordinal.
func (s *Server) holders(ctx context.Context, a Address, to *Domain) ([]registry.Reservation, *smtp.SMTPError) {
	ctx, cancel := context.WithTimeout(ctx, s.o.RegistryTimeout)
	defer cancel()
	held, err := s.o.Registry.LookupHash(ctx, to.List, a.Hash)
	if err != nil {
		s.o.Log.Error("the registry does not answer; the client is asked to try again", "list", to.List, "error", err)
		return nil, unavailable("registry")
	}
	return held, nil
}

// judge decides on a recipient before its message is known. Held are the
// reservations of its hash. Again reports that a message archived under the
// recipient's token may be one that the same client sends again.
func judge(a Address, list string, held []registry.Reservation, again bool) *smtp.SMTPError {
	taken := stateOf(a.Ordinal, held)
	free := next(a, list, held)
	own := claimed(a, held)
	try := free
	if len(own) > 0 {
		try = own[0].Ordinal
	}
	// A claim is exact unless a message of this identity is archived: then this
	// one may have another body.
	exact := a.Claim != "" && (len(own) == 0 || own[0].State == registry.Reserved)
	mayBeOwn := taken == registry.Reserved || taken == registry.Archived && again
	named := func(r registry.Reservation) bool { return r.Ordinal == a.Ordinal }
	if slices.ContainsFunc(own, named) || !exact && (mayBeOwn || a.Ordinal == free) {
		return nil
	}
	return refuse(a, try, taken)
}

func stateOf(ordinal int, held []registry.Reservation) registry.State {
	for _, r := range held {
		if r.Ordinal == ordinal {
			return r.State
		}
	}
	return registry.Vacant
}

// claimed returns the reservations whose message a recipient claims to be for.
func claimed(a Address, held []registry.Reservation) (own []registry.Reservation) {
	for _, r := range held {
		if a.Claims(r.Identity) {
			own = append(own, r)
		}
	}
	return own
}

// unseen stands for the identity of a message that the server has not seen.
// It is random, so that no reservation has it.
var unseen = func() (id hashheader.Identity) {
	rand.Read(id[:])
	return id
}()

// next returns the ordinal that the registry gives to the next message, past
// hashheader.MaxOrdinal where it has none left.
func next(a Address, list string, held []registry.Reservation) int {
	offer, err := registry.Offer(held, registry.Request{List: list, Hash: a.Hash, Identity: unseen})
	if err != nil {
		return hashheader.MaxOrdinal + 1
	}
	return offer.Ordinal
}

// refuse returns the reply to a recipient that should name this ordinal, or nil
// where it does. Taken is the state of the token that the recipient names.
func refuse(a Address, ordinal int, taken registry.State) *smtp.SMTPError {
	switch {
	case ordinal == a.Ordinal:
		return nil
	case ordinal > hashheader.MaxOrdinal:
		return full()
	case taken == registry.Vacant:
		return outOfTurn(a.at(ordinal))
	}
	return occupied(a.at(ordinal))
}
