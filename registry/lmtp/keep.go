package lmtp

import (
	"cmp"
	"context"
	"errors"

	"github.com/emersion/go-smtp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// archive answers the end of DATA for one recipient. A message that is
// refused leaves no reservation.
func (s *Server) archive(ctx context.Context, m *message, a Address, to *Domain) *smtp.SMTPError {
	hash, err := a.algorithm().Hash(m.canonical)
	if err != nil {
		return wrongMessage("%v", err)
	}
	if hash != a.Hash {
		return wrongMessage("This message has another permalink: the %s hash of its Message-ID is %s", a.algorithm(), hash)
	}
	// Two copies of a message must not both be found new.
	done, err := s.turns.wait(ctx, to.List+a.Hash)
	if err != nil {
		return interrupted()
	}
	defer done()
	held, refusal := s.holders(ctx, a, to)
	if refusal != nil {
		return refusal
	}
	offer, err := registry.Offer(held, m.request(to.List, a.Hash))
	if err != nil {
		return full()
	}
	p := parcel{to, m, a.at(offer.Ordinal), s.o.Hostname}
	if offer.State == registry.Archived {
		return s.again(p, offer.URL)
	}
	s.warnOfOtherBody(p, held)
	if refusal := refuse(a, offer.Ordinal, stateOf(a.Ordinal, held)); refusal != nil {
		return refusal
	}
	return s.accept(ctx, p)
}

// request asks the registry for the message's token.
func (m *message) request(list, hash string) registry.Request {
	return registry.Request{List: list, Hash: hash, Identity: m.identity, Body: m.body}
}

// again answers for a message that is archived.
func (s *Server) again(p parcel, url string) *smtp.SMTPError {
	s.recent.remember(p.passage())
	p.message.kept = append(p.message.kept, p)
	return keptAs("Already archived", p.to, url)
}

// warnOfOtherBody logs that a message differs from one before it in nothing
// that is compared but the body: one of them may be forged.
func (s *Server) warnOfOtherBody(p parcel, held []registry.Reservation) {
	for _, r := range held {
		if r.Identity == p.message.identity && r.Ordinal != p.to.Ordinal {
			s.o.Log.Warn("another message has the same Message-ID and identity, and another body; this one gets a token of its own",
				"list", p.List, "token", p.to.Token(), "other_token", r.Token(), "identity", r.Identity, "from", p.message.from)
			return
		}
	}
}

// accept archives a message under a token that is free or its own. It may hold
// the token already, if a milter asked before.
func (s *Server) accept(ctx context.Context, p parcel) *smtp.SMTPError {
	date, _ := p.message.header.First("Date")
	url, err := p.URL.Expand(hashheader.Permalink{List: p.List, ListID: stamp.ListID(p.message.header, p.List), Token: p.to.Token(),
		MessageID: p.message.canonical, Date: date, Identity: p.message.identity, Algorithm: p.to.algorithm()})
	if err == nil {
		err = registry.CheckURL(url)
	}
	if err != nil {
		return wrongMessage("This message has no permalink here: %v", err)
	}
	ready, refusal := s.reserve(ctx, p)
	if refusal != nil {
		return refusal
	}
	return s.keep(ctx, p, ready, url)
}

// reserve makes sure that the token is the message's, and stages the message
// meanwhile: the disk then waits for both at once.
func (s *Server) reserve(ctx context.Context, p parcel) (ready staged, refusal *smtp.SMTPError) {
	staging := make(chan error, 1)
	go func() {
		var err error
		ready, err = p.Delivery.stage(p)
		staging <- err
	}()
	refusal = s.take(ctx, p)
	err := <-staging
	if err != nil {
		return nil, cmp.Or(refusal, s.undelivered(err, p))
	}
	if refusal != nil {
		ready.discard()
	}
	return ready, refusal
}

// take reserves the token.
func (s *Server) take(ctx context.Context, p parcel) *smtp.SMTPError {
	ctx, cancel := context.WithTimeout(ctx, s.o.RegistryTimeout)
	defer cancel()
	r, err := s.o.Registry.Reserve(ctx, p.message.request(p.List, p.to.Hash))
	switch {
	case errors.Is(err, registry.ErrFull):
		return full()
	case err != nil, r.Outcome == registry.Journalled, r.Outcome == registry.Unreserved:
		// What is good enough for a milter is not a promise to keep the message.
		s.o.Log.Error("the registry does not answer; the client is asked to try again", "list", p.List, "outcome", r.Outcome, "error", err)
		return unavailable("registry")
	case r.Ordinal != p.to.Ordinal:
		// Another server of the registry was faster.
		return occupied(p.to.at(r.Ordinal))
	}
	return nil
}

// keep delivers a message whose token is reserved, then confirms.
func (s *Server) keep(ctx context.Context, p parcel, ready staged, url string) *smtp.SMTPError {
	if err := ready.deliver(ctx); err != nil {
		return s.undelivered(err, p)
	}
	s.recent.remember(p.passage())
	ctx, cancel := context.WithTimeout(ctx, s.o.RegistryTimeout)
	defer cancel()
	_, err := s.o.Registry.Confirm(ctx, registry.Confirmation{List: p.List, Token: p.to.Token(), Identity: p.message.identity,
		URL: url, Subject: p.message.subject()})
	if err != nil {
		s.o.Log.Error("the message is delivered but not confirmed; the client is asked to try again", "list", p.List, "token", p.to.Token(), "error", err)
		return unavailable("registry")
	}
	p.message.kept = append(p.message.kept, p)
	return keptAs("Archived", p.to, url)
}

// undelivered returns the reply for a delivery that failed.
func (s *Server) undelivered(err error, p parcel) *smtp.SMTPError {
	if said := (*smtp.SMTPError)(nil); errors.As(err, &said) {
		return said
	}
	s.o.Log.Error("the message is not delivered; the client is asked to try again", "list", p.List, "token", p.to.Token(), "error", err)
	return p.Delivery.down()
}
