package conform

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"permalink-milter/hashheader"
)

func (a *archive) claimFirst(ctx context.Context) error {
	p, hash := a.fresh()
	return a.store(ctx, alice, p.claim(hash), p.text())
}

func (a *archive) claimSecond(ctx context.Context) error {
	p, hash, err := a.stored(ctx)
	if err != nil {
		return err
	}
	return a.store(ctx, bob, p.claim(hash), p.text())
}

func (a *archive) claimOther(ctx context.Context) error {
	p, hash, err := a.stored(ctx)
	if err != nil {
		return err
	}
	p.date = otherDate
	return a.offer(ctx, alice, p.claim(hash), "553 5.1.0")
}

func (a *archive) dateCounts(ctx context.Context) error {
	p, hash, err := a.stored(ctx)
	if err != nil {
		return err
	}
	p.date = otherDate
	r, err := a.deliver(ctx, alice, hash, p.text())
	if err != nil {
		return err
	}
	return r.expect("a message with another Date", "553 5.1.0")
}

// racers is how many senders offer one hash at once.
const racers = 8

// race wants each of several messages with one hash to get a token of its own.
func (a *archive) race(ctx context.Context) error {
	p, hash := a.fresh()
	var wg sync.WaitGroup
	held, errs := make([]string, racers), make([]error, racers)
	for i := range racers {
		wg.Go(func() {
			p := p
			p.date = fmt.Sprintf("Tue, 24 Nov 2026 11:00:%02d +0000", i)
			held[i], errs[i] = a.negotiate(ctx, fmt.Sprintf("%d.%s", i, alice), hash, p)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	slices.Sort(held)
	if len(slices.Compact(slices.Clone(held))) != racers {
		return fmt.Errorf("messages share a token: %q", held)
	}
	return nil
}

// negotiate offers one ordinal after the other, and returns the token under
// which the message is stored.
func (a *archive) negotiate(ctx context.Context, from, hash string, p post) (string, error) {
	for ordinal := 1; ordinal <= racers; {
		token := hashheader.Token(hash, ordinal)
		var last reply
		err := a.on(ctx, from, func(c *lmtpConn) (err error) {
			if last, err = c.rcpt(token); err != nil || !last.is("250") {
				return err
			}
			replies, err := c.data(p.text(), 1)
			if err == nil {
				last = replies[0]
			}
			return err
		})
		switch {
		case err != nil:
			return "", err
		case last.is("250"):
			return token, nil
		case last.code/100 == 4: // try again
		case !last.is("553"):
			return "", last.expect(token, "250 or 553")
		default:
			ordinal++
		}
	}
	return "", fmt.Errorf("%d senders got no token in %d tries", racers, racers)
}
