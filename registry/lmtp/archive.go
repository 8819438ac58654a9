package lmtp

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// An archive is a Domain as recipients are looked up in it.
type archive struct {
	Domain
	listName string
}

type archives []*archive

func newArchives(domains []Domain) (archives, error) {
	var all archives
	for _, d := range domains {
		list, err := hashheader.CheckList(d.List)
		if err == nil {
			_, err = hashheader.CheckList("x@" + d.Name)
		}
		if err == nil {
			err = d.Delivery.prepare()
		}
		if err != nil {
			return nil, fmt.Errorf("lmtp.domain %q: %w", d.Name, err)
		}
		a := &archive{Domain: d}
		a.List, a.Name = list, strings.ToLower(d.Name)
		a.listName, _, _ = strings.Cut(list, "@")
		if _, refusal := all.find(Address{Name: a.listName, Domain: a.Name}); refusal == nil {
			return nil, fmt.Errorf("lmtp.domain %q: two lists are named %q: give one of them another domain", d.Name, a.listName)
		}
		all = append(all, a)
	}
	return all, nil
}

// find returns the archive of a recipient: of its domain, the one whose list
// has the name, the first where there is no name.
func (all archives) find(a Address) (*archive, *smtp.SMTPError) {
	refusal := noSuchDomain(a)
	for _, archive := range all {
		if archive.Name != a.Domain {
			continue
		}
		if a.Name == "" || a.Name == archive.listName {
			return archive, nil
		}
		refusal = noSuchList(a)
	}
	return nil, refusal
}

// offer answers RCPT: nil accepts the recipient.
func (s *Server) offer(from string, a Address, to *archive) *smtp.SMTPError {
	held, refusal := s.holders(s.ctx, a, to)
	if refusal != nil {
		return refusal
	}
	again := s.recent.knows(passage{to.List, a.Token(), from}) || to.Delivery.unsettled(to.List, a.Token())
	return judge(a, held, again)
}

// holders returns the reservations of a recipient's hash.
func (s *Server) holders(ctx context.Context, a Address, to *archive) ([]registry.Reservation, *smtp.SMTPError) {
	ctx, cancel := context.WithTimeout(ctx, s.o.RegistryTimeout)
	defer cancel()
	held, err := s.o.Registry.LookupHash(ctx, to.List, a.Hash)
	if err != nil {
		s.o.Log.Error("the registry does not answer, the client has to try again", "list", to.List, "error", err)
		return nil, unavailable("registry")
	}
	return held, nil
}

// judge decides about a recipient before its message is known: held are the
// reservations of its hash, again tells if the one that it names, if archived,
// may be a message that its sender sends again.
func judge(a Address, held []registry.Reservation, again bool) *smtp.SMTPError {
	taken := stateOf(a.Ordinal, held)
	own := slices.IndexFunc(held, func(r registry.Reservation) bool { return a.claims(r.Identity) })
	switch {
	case own >= 0:
		return refuse(a, held[own].Ordinal, taken)
	case a.Claim == "" && (taken == registry.Reserved || taken == registry.Archived && again):
		return nil
	}
	return refuse(a, next(held), taken)
}

func stateOf(ordinal int, held []registry.Reservation) registry.State {
	for _, r := range held {
		if r.Ordinal == ordinal {
			return r.State
		}
	}
	return registry.Vacant
}

// next returns the ordinal that the registry gives out next. One that was
// given back is not, while a later one is held.
func next(held []registry.Reservation) int {
	if len(held) == 0 {
		return 1
	}
	return held[len(held)-1].Ordinal + 1
}

// refuse returns nil where a recipient names the ordinal that it should.
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

// archive answers the end of DATA for one recipient. A message that is
// refused leaves no reservation.
func (s *Server) archive(ctx context.Context, m *message, a Address, to *archive) *smtp.SMTPError {
	hash, err := a.algorithm().Hash(m.canonical)
	if err != nil {
		return wrongMessage("%v", err)
	}
	if hash != a.Hash {
		return wrongMessage("This message has another permalink: the %s hash of its Message-ID is %s", a.algorithm(), hash)
	}
	unlock, err := s.lock(ctx, to.List+a.Hash)
	if err != nil {
		return interrupted()
	}
	defer unlock()
	held, refusal := s.holders(ctx, a, to)
	if refusal != nil {
		return refusal
	}
	ordinal := next(held)
	own := slices.IndexFunc(held, func(r registry.Reservation) bool { return r.Identity == m.identity })
	if own >= 0 {
		ordinal = held[own].Ordinal
	}
	p := parcel{message: m, to: a.at(ordinal), list: to.List, hostname: s.o.Hostname}
	if own >= 0 && held[own].State == registry.Archived {
		return s.again(p, held[own].URL, to)
	}
	if refusal := refuse(a, ordinal, stateOf(a.Ordinal, held)); refusal != nil {
		return refusal
	}
	return s.reserve(ctx, p, to)
}

// again answers for a message that is archived.
func (s *Server) again(p parcel, url string, to *archive) *smtp.SMTPError {
	s.recent.remember(passage{to.List, p.to.Token(), p.message.from})
	p.message.settle = append(p.message.settle, func() { to.Delivery.settle(p) })
	return alreadyArchived(p.to, url)
}

// reserve makes sure that the token is the message's: it held it already if a
// milter asked before.
func (s *Server) reserve(ctx context.Context, p parcel, to *archive) *smtp.SMTPError {
	call, cancel := context.WithTimeout(ctx, s.o.RegistryTimeout)
	defer cancel()
	r, err := s.o.Registry.Reserve(call, registry.Request{List: to.List, Hash: p.to.Hash, Identity: p.message.identity})
	switch {
	case errors.Is(err, registry.ErrFull):
		return full()
	case err != nil, r.Outcome == registry.Journalled, r.Outcome == registry.Unreserved:
		// What is good enough for a milter is no promise to keep the message.
		s.o.Log.Error("the registry does not answer, the client has to try again", "list", to.List, "outcome", r.Outcome, "error", err)
		return unavailable("registry")
	case r.Ordinal != p.to.Ordinal:
		// Somebody else was faster, through another server of the registry.
		return occupied(p.to.at(r.Ordinal))
	}
	return s.keep(ctx, p, to)
}

// keep delivers a message whose token is reserved, then confirms.
func (s *Server) keep(ctx context.Context, p parcel, to *archive) *smtp.SMTPError {
	url, err := to.URL.Expand(hashheader.Permalink{List: to.List, ListID: stamp.ListID(p.message.header, to.List), Token: p.to.Token(),
		MessageID: p.message.canonical, Algorithm: p.to.algorithm()})
	if err != nil {
		return wrongMessage("%v", err)
	}
	if refusal := s.deliver(ctx, p, to); refusal != nil {
		return refusal
	}
	s.recent.remember(passage{to.List, p.to.Token(), p.message.from})
	ctx, cancel := context.WithTimeout(ctx, s.o.RegistryTimeout)
	defer cancel()
	_, err = s.o.Registry.Confirm(ctx, registry.Confirmation{List: to.List, Token: p.to.Token(), Identity: p.message.identity,
		URL: url, Subject: p.message.subject()})
	switch {
	case errors.Is(err, registry.ErrInvalid):
		// Trying again would not help, and the message is in the archive. It is
		// not settled: the delivery alone knows.
		s.o.Log.Error("archived, but not confirmed", "list", to.List, "token", p.to.Token(), "error", err)
		return archived(p.to, url)
	case err != nil:
		s.o.Log.Error("the registry does not answer, the client has to try again", "list", to.List, "error", err)
		return unavailable("registry")
	}
	p.message.settle = append(p.message.settle, func() { to.Delivery.settle(p) })
	return archived(p.to, url)
}

func (s *Server) deliver(ctx context.Context, p parcel, to *archive) *smtp.SMTPError {
	err := to.Delivery.deliver(ctx, p)
	var said *smtp.SMTPError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		return said
	}
	s.o.Log.Error("message not delivered, the client has to try again", "list", to.List, "token", p.to.Token(), "error", err)
	return to.Delivery.down()
}

// lock makes one message of a hash go at a time, so that two copies of it
// cannot both find that it is to be delivered.
func (s *Server) lock(ctx context.Context, key string) (unlock func(), err error) {
	h := fnv.New32a()
	h.Write([]byte(key))
	turn := s.turns[h.Sum32()%uint32(len(s.turns))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
