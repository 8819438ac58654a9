package lmtp

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// An archive is a Domain as recipients are looked up in it.
type archive struct {
	Domain
	name, host string // of the list
}

type archives []*archive

func newArchives(domains []Domain) (archives, error) {
	var all archives
	for _, d := range domains {
		list, err := registry.CheckList(d.List)
		if err == nil {
			_, err = registry.CheckList("x@" + d.Domain)
		}
		if err == nil {
			err = d.Delivery.prepare()
		}
		if err != nil {
			return nil, fmt.Errorf("lmtp.domain %q: %w", d.Domain, err)
		}
		a := &archive{Domain: d}
		a.List, a.Domain.Domain = list, strings.ToLower(d.Domain)
		a.name, a.host, _ = strings.Cut(list, "@")
		if _, refusal := all.find(Address{Name: a.name, Domain: a.Domain.Domain}); refusal == nil {
			return nil, fmt.Errorf("lmtp.domain %q: two lists are named %q: give one of them another domain", d.Domain, a.name)
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
		if archive.Domain.Domain != a.Domain {
			continue
		}
		if a.Name == "" || a.Name == archive.name {
			return archive, nil
		}
		refusal = noSuchList(a)
	}
	return nil, refusal
}

// offer answers RCPT: nil accepts the recipient.
func (s *Server) offer(from string, a Address, to *archive) *smtp.SMTPError {
	ctx, cancel := context.WithTimeout(s.ctx, s.o.RegistryTimeout)
	defer cancel()
	held, err := s.o.Registry.LookupHash(ctx, to.List, a.Hash)
	if err != nil {
		s.o.Log.Error("registry", "error", err)
		return unavailable("registry")
	}
	known := s.recent.knows(passage{to.List, a.Token(), from}) || to.Delivery.unsettled(to.List, a.Token())
	return judge(a, held, known)
}

// judge decides about a recipient before its message is known: held are the
// reservations of its hash, again tells if the one that it names, if archived,
// may be a message that its sender sends again.
func judge(a Address, held []registry.Reservation, again bool) *smtp.SMTPError {
	next, taken, mine := 1, registry.Vacant, 0
	for _, r := range held {
		next = r.Ordinal + 1
		if r.Ordinal == a.Ordinal {
			taken = r.State
		}
		if a.claims(r.Identity) {
			mine = r.Ordinal
		}
	}
	if mine == 0 && a.Claim == "" && (taken == registry.Reserved || taken == registry.Archived && again) {
		mine = a.Ordinal
	}
	if mine == 0 {
		mine = next
	}
	switch {
	case mine == a.Ordinal:
		return nil
	case mine > registry.MaxOrdinal:
		return full()
	case taken == registry.Vacant:
		return outOfTurn(a.at(mine))
	}
	return occupied(a.at(mine))
}

// archive answers the end of DATA for one recipient.
func (s *Server) archive(ctx context.Context, m *message, a Address, to *archive) *smtp.SMTPError {
	if hash, err := a.algorithm().Hash(m.canonical); err != nil || hash != a.Hash {
		return wrongMessage("This message has another permalink: the %s hash of its Message-ID is %s", a.algorithm(), hash)
	}
	unlock, err := s.lock(ctx, to.List+a.Hash)
	if err != nil {
		return interrupted()
	}
	defer unlock()
	r, err := s.reserve(ctx, m, a, to)
	switch {
	case errors.Is(err, registry.ErrFull):
		return full()
	case err != nil:
		s.o.Log.Error("registry", "error", err)
		return unavailable("registry")
	}
	p := parcel{message: m, to: a.at(r.Ordinal), list: to.List, hostname: s.o.Hostname}
	if r.State == registry.Archived {
		s.recent.remember(passage{to.List, p.to.Token(), m.from})
		m.settle = append(m.settle, func() { to.Delivery.settle(p) })
		return alreadyArchived(p.to, r.URL)
	}
	if p.to != a {
		return occupied(p.to)
	}
	return s.keep(ctx, p, to)
}

// reserve asks for the message's own token. It is Held where the milter asked
// before.
func (s *Server) reserve(ctx context.Context, m *message, a Address, to *archive) (registry.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.RegistryTimeout)
	defer cancel()
	return s.o.Registry.Reserve(ctx, registry.Request{List: to.List, Hash: a.Hash, Identity: m.identity})
}

// keep delivers a message whose token is reserved, then confirms.
func (s *Server) keep(ctx context.Context, p parcel, to *archive) *smtp.SMTPError {
	url, err := to.URL.Expand(hashheader.Permalink{List: to.List, ListID: to.name + "." + to.host, Token: p.to.Token(),
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
		s.o.Log.Error("registry", "error", err)
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
	s.o.Log.Error("delivery", "list", to.List, "token", p.to.Token(), "error", err)
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
