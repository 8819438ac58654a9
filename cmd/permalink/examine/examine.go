// Package examine checks messages: their permalink headers by themselves, and
// on request their reservations and the pages that Archived-At leads to.
package examine

import (
	"context"
	"errors"
	"iter"
	"slices"

	"permalink-milter/cmd/permalink/follow"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/hashheader/mailbox/inorder"
)

// An Examiner holds what messages are checked against.
type Examiner struct {
	Site        hashheader.Site
	SiteWants   func(name string) bool // what else Site's templates need; nil: nothing
	Required    []string               // the methods of which one check must pass
	Reservation *Reservation           // nil: reservations are not looked up
	Follow      *follow.Client         // nil: Archived-At is not followed
}

// Close closes the registry and the connections to archives.
func (x *Examiner) Close() {
	if x.Reservation != nil {
		x.Reservation.Registry.Close()
	}
	if x.Follow != nil {
		x.Follow.Close()
	}
}

// Wants reports whether a check looks at fields of this name.
func (x *Examiner) Wants(name []byte) bool {
	switch {
	case hashheader.Examined(name):
		return true
	case x.SiteWants != nil && x.SiteWants(string(name)):
		return true
	}
	return x.Reservation != nil && x.Reservation.Policy.Wants(string(name))
}

// A Finding is what was found of one message.
type Finding struct {
	mailbox.Message
	Checks []hashheader.Check // nil for a source or a message that cannot be read
}

// Local does the checks that need nothing but the message.
func (x *Examiner) Local(m *mailbox.Message) Finding {
	f := Finding{Message: *m}
	if m.Index > 0 && !errors.Is(m.Err, hashheader.ErrSectionTooBig) {
		f.Checks = hashheader.Examine(m.Header, x.Site)
		x.insist(f.Checks)
	}
	return f
}

// insist makes the absence of a required field a failure.
func (x *Examiner) insist(checks []hashheader.Check) {
	for _, method := range x.Required {
		passes := func(c hashheader.Check) bool { return c.Method == method && c.Result == hashheader.Pass }
		if slices.ContainsFunc(checks, passes) {
			continue
		}
		for i := range checks {
			if c := &checks[i]; c.Method == method && c.Result == hashheader.None {
				c.Result, c.Reason = hashheader.Fail, c.Reason+", and it is required"
			}
		}
	}
}

// workers is how many messages Remote asks about at a time.
const workers = 32

// Remote adds the checks that ask a registry or an archive. It keeps the order.
func (x *Examiner) Remote(ctx context.Context, in iter.Seq[Finding]) iter.Seq[Finding] {
	if x.Reservation == nil && x.Follow == nil {
		return in
	}
	return inorder.Map(ctx, in, workers, func(f Finding) Finding {
		if f.Checks == nil {
			return f
		}
		if x.Reservation != nil {
			f.Checks = append(f.Checks, x.Reservation.check(ctx, &f.Message)...)
		}
		if x.Follow != nil {
			f.Checks = append(f.Checks, followAll(ctx, x.Follow, &f.Message)...)
		}
		return f
	})
}

// followAll checks the target of each well-formed Archived-At field.
func followAll(ctx context.Context, c *follow.Client, m *mailbox.Message) (checks []hashheader.Check) {
	id := m.ID()
	for _, f := range m.Header {
		if !f.Is(hashheader.ArchivedAtField) || id == "" {
			continue
		}
		if url, err := hashheader.ParseArchivedAt(f.Value); err == nil {
			checks = append(checks, c.Check(ctx, url, []byte(id)))
		}
	}
	if checks == nil {
		return []hashheader.Check{{Method: follow.Method, Result: hashheader.None, Reason: "nothing to follow"}}
	}
	return checks
}

// Result returns the worst of a message's results. A Message-ID alone is not
// something that passes.
func (f Finding) Result() hashheader.Result {
	worst := hashheader.None
	for i := range f.Checks {
		c := &f.Checks[i]
		if c.Method == hashheader.MethodMessageID && c.Result == hashheader.Pass {
			continue
		}
		if c.Result != worst && rank(c.Result) > rank(worst) {
			worst = c.Result
		}
	}
	if f.Err != nil && !errors.Is(f.Err, mailbox.ErrUnended) && rank(worst) < rank(hashheader.PermError) {
		worst = hashheader.PermError
	}
	return worst
}

// results are all result words, the best first.
var results = []hashheader.Result{hashheader.None, hashheader.Pass, hashheader.TempError, hashheader.Policy, hashheader.PermError, hashheader.Fail}

// rank orders results by how bad they are.
func rank(r hashheader.Result) int { return slices.Index(results, r) }
