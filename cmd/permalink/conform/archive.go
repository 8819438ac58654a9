package conform

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync/atomic"

	"permalink-milter/hashheader"
)

// An ArchiveTarget is an archive that takes mail by LMTP.
type ArchiveTarget struct {
	Address   string // host:port or unix:PATH
	Domain    string // what recipients have behind the @
	Algorithm hashheader.Algorithm
}

// An archive is the archive under test.
type archive struct {
	ArchiveTarget
	run     string // makes the ids of this run new
	count   atomic.Int32
	said551 atomic.Bool
}

// Senders of messages: to an archive, mail of another one is no
// retransmission.
const alice, bob = "alice@conform.invalid", "bob@conform.invalid"

// A post is a message for an archive.
type post struct{ id, date, from, body string }

// text returns the message with LF line ends.
func (p post) text() string {
	return "From: " + p.from + "\nDate: " + p.date + "\nSubject: conformance\nMessage-ID: <" + p.id + ">\n\n" + p.body + "\n"
}

// claim returns the reference to the message by its identity.
func (p post) claim(hash string) string {
	h, _ := hashheader.ReadHeader(strings.NewReader(p.text())) // it is small
	return hash + "=" + hashheader.Identify(h, []byte(p.id), []string{"message-id", "date"}).Claim()
}

// Other dates make other identities.
const someDate, otherDate, thirdDate = "Tue, 24 Nov 2026 11:00:00 +0000", "Tue, 24 Nov 2026 12:00:00 +0000", "Tue, 24 Nov 2026 13:00:00 +0000"

// fresh returns a message that the archive has never seen, and its hash.
func (a *archive) fresh() (p post, hash string) {
	p = post{fmt.Sprintf("%s.%d@conform.invalid", a.run, a.count.Add(1)), someDate, "a@conform.invalid", "hello"}
	hash, _ = a.Algorithm.Hash([]byte(p.id)) // Archive checked the algorithm
	return p, hash
}

// Archive returns the tests of an archive. They store some thirty messages.
func Archive(t ArchiveTarget) ([]Test, error) {
	if err := t.Algorithm.Allowed(); err != nil {
		return nil, err
	}
	a := &archive{ArchiveTarget: t, run: rand.Text()}
	tests := []Test{
		{"RCPT-1", "a hash that no message holds", a.offersFree},
		{"RCPT-1", "the hash in lower case", a.offersLower},
		{"RCPT-2", "an ordinal while the hash is free", a.offersOrdinal},
		{"RCPT-2", "a token that another message holds", a.occupied},
		{"RCPT-2", "an ordinal while a lower one is free", a.outOfTurn},
		{"RCPT-5", "the reply 553 names the free address", a.namesFree},
		{"DATA-1", "a new message", a.stores},
		{"DATA-1", "a message with the hash of another one", a.storesSecond},
		{"DATA-2", "a message that the same sender sends again", a.again("", post.text)},
		{"DATA-2", "with other trace fields and line ends behind the body", a.again("", func(p post) string { return "Received: by x\n" + p.text() + "\n\n" })},
		{"DATA-2", "to the next token", a.again("-2", post.text)},
		{"DATA-3", "another message to a token that is held", a.refusesOther(func(p *post) { p.date = otherDate })},
		{"DATA-3", "another body with the same identity", a.refusesOther(func(p *post) { p.body = "forged" })},
		{"DATA-3", "another From with the same identity", a.refusesOther(func(p *post) { p.from = "b@conform.invalid" })},
		{"DATA-4", "a message with another hash", a.refusesMessage(func(p post) string { p.id = "x" + p.id; return p.text() })},
		{"DATA-4", "a message without a Message-ID", a.refusesMessage(func(p post) string { return strings.Replace(p.text(), "Message-ID", "X", 1) })},
		{"DATA-4", "a header section over the bounds", a.refusesMessage(func(p post) string { return strings.Repeat("X: y\n", hashheader.MaxSectionFields) + p.text() })},
		{"DATA-4", "an id behind the header section", a.refusesMessage(func(p post) string { return "no field\n" + p.text() })},
		{"DATA-5", "a reply for each recipient", a.eachRecipient},
		{"TOK-4", "a claim before the message", a.claimFirst},
		{"TOK-4", "a claim behind the message", a.claimSecond},
		{"TOK-4", "a claim of another message", a.claimOther},
		{"IDN-2", "another Date makes another message", a.dateCounts},
		{"REG-1", "many senders offer one hash at once", a.race},
	}
	for _, local := range a.noTokens() {
		tests = append(tests, Test{"RCPT-3", local.name, a.refuses(local.text)})
	}
	return append(tests, Test{"RCPT-4", "no reply was 551", func(context.Context) error {
		if a.said551.Load() {
			return fmt.Errorf("a reply was 551")
		}
		return nil
	}}), nil
}

type localPart struct{ name, text string }

// noTokens returns local parts that are not tokens.
func (a *archive) noTokens() []localPart {
	_, hash := a.fresh()
	parts := []localPart{
		{"no hash", "devel"}, {"a hash that is too short", hash[1:]}, {"a hash that is too long", hash + "A"},
		{"padding", hash + "=="}, {"the ordinal 1", hash + "-1"}, {"the ordinal 02", hash + "-02"},
		{"the ordinal 1000", hash + "-1000"}, {"a claim of 7 digits", hash + "=0123456"}, {"a claim of 33 digits", hash + "=" + strings.Repeat("0", 33)},
		{"a list that is not there", hash + "+no-such-list.conform"},
	}
	if a.Algorithm != hashheader.SHA1 { // whose hash has no unused bits
		parts = append(parts, localPart{"unused bits that are not zero", hash[:len(hash)-1] + "B"})
	}
	return parts
}

// on opens a connection and a transaction for a test.
func (a *archive) on(ctx context.Context, from string, do func(*lmtpConn) error) error {
	c, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.begin(from); err != nil {
		return err
	}
	if err := do(c); err != nil {
		return err
	}
	// The reply shows that the archive is done with the transaction.
	_, err = c.say("QUIT")
	return err
}

// offer offers a local part in a transaction of its own.
func (a *archive) offer(ctx context.Context, from, local, want string) error {
	return a.on(ctx, from, func(c *lmtpConn) error {
		r, err := c.rcpt(local)
		if err != nil {
			return err
		}
		return r.expect("RCPT TO "+local, want)
	})
}

// deliver sends a message to a token and returns the reply to it.
func (a *archive) deliver(ctx context.Context, from, local, text string) (r reply, err error) {
	err = a.on(ctx, from, func(c *lmtpConn) error {
		if r, err = c.rcpt(local); err != nil {
			return err
		}
		if err := r.expect("RCPT TO "+local, "250"); err != nil {
			return err
		}
		replies, err := c.data(text, 1)
		if err == nil {
			r = replies[0]
		}
		return err
	})
	return r, err
}

// store delivers a message that has to be stored.
func (a *archive) store(ctx context.Context, from, local, text string) error {
	r, err := a.deliver(ctx, from, local, text)
	if err != nil {
		return err
	}
	return r.expect("the message", "250 2.1.5")
}

// stored returns a message that alice's MTA delivered.
func (a *archive) stored(ctx context.Context) (p post, hash string, err error) {
	p, hash = a.fresh()
	return p, hash, a.store(ctx, alice, hash, p.text())
}

func (a *archive) offersFree(ctx context.Context) error {
	_, hash := a.fresh()
	return a.offer(ctx, alice, hash, "250")
}

func (a *archive) offersLower(ctx context.Context) error {
	p, hash := a.fresh()
	return a.store(ctx, alice, strings.ToLower(hash), p.text())
}

func (a *archive) offersOrdinal(ctx context.Context) error {
	_, hash := a.fresh()
	return a.offer(ctx, alice, hash+"-2", "553 5.1.0")
}

func (a *archive) occupied(ctx context.Context) error {
	_, hash, err := a.stored(ctx)
	if err != nil {
		return err
	}
	return a.offer(ctx, bob, hash, "553 5.1.0")
}

func (a *archive) outOfTurn(ctx context.Context) error {
	_, hash, err := a.stored(ctx)
	if err != nil {
		return err
	}
	return a.offer(ctx, bob, hash+"-3", "553 5.1.0")
}

func (a *archive) refuses(local string) func(context.Context) error {
	return func(ctx context.Context) error { return a.offer(ctx, alice, local, "550 5.1.1") }
}

func (a *archive) namesFree(ctx context.Context) error {
	_, hash, err := a.stored(ctx)
	if err != nil {
		return err
	}
	return a.on(ctx, bob, func(c *lmtpConn) error {
		r, err := c.rcpt(hash)
		_, after, _ := strings.Cut(r.text, "try")
		if err == nil && !strings.Contains(strings.ToLower(after), strings.ToLower(hash+"-2@"+a.Domain)) {
			err = fmt.Errorf("the reply is %q, want %s-2@%s behind \"try\"", r, hash, a.Domain)
		}
		return err
	})
}

func (a *archive) stores(ctx context.Context) error {
	_, _, err := a.stored(ctx)
	return err
}

func (a *archive) storesSecond(ctx context.Context) error {
	p, hash, err := a.stored(ctx)
	if err != nil {
		return err
	}
	p.date = otherDate
	if err := a.store(ctx, bob, hash+"-2", p.text()); err != nil {
		return err
	}
	p.date = thirdDate
	return a.store(ctx, bob, hash+"-3", p.text())
}

// again wants a message that comes again, changed as in transit, to be taken
// for the same one, by a reply that names its token whatever it was sent to.
func (a *archive) again(ordinal string, change func(post) string) func(context.Context) error {
	return func(ctx context.Context) error {
		p, hash, err := a.stored(ctx)
		if err != nil {
			return err
		}
		r, err := a.deliver(ctx, alice, hash+ordinal, change(p))
		if err == nil {
			err = r.expect("the message that comes again", "250 2.1.5")
		}
		if err == nil && !strings.Contains(strings.ToUpper(r.text), hash+"@") {
			err = fmt.Errorf("the reply %q does not name the token %s", r, hash)
		}
		return err
	}
}

// refusesOther wants a message that differs from the one under a token to get
// the next token.
func (a *archive) refusesOther(change func(*post)) func(context.Context) error {
	return func(ctx context.Context) error {
		p, hash, err := a.stored(ctx)
		if err != nil {
			return err
		}
		change(&p)
		r, err := a.deliver(ctx, alice, hash, p.text())
		if err == nil {
			err = r.expect("the other message", "553 5.1.0")
		}
		if err == nil && !strings.Contains(strings.ToUpper(r.text), hash+"-2") {
			err = fmt.Errorf("the reply %q does not name the token %s-2", r, hash)
		}
		if err != nil {
			return err
		}
		return a.store(ctx, alice, hash+"-2", p.text())
	}
}

func (a *archive) refusesMessage(text func(post) string) func(context.Context) error {
	return func(ctx context.Context) error {
		p, hash := a.fresh()
		r, err := a.deliver(ctx, alice, hash, text(p))
		if err != nil {
			return err
		}
		return r.expect("the message", "554 5.6.0")
	}
}

func (a *archive) eachRecipient(ctx context.Context) error {
	p, hash := a.fresh()
	_, other := a.fresh()
	return a.on(ctx, alice, func(c *lmtpConn) error {
		for _, local := range []string{other, hash} {
			r, err := c.rcpt(local)
			if err == nil {
				err = r.expect("RCPT TO "+local, "250")
			}
			if err != nil {
				return err
			}
		}
		replies, err := c.data(p.text(), 2)
		if err != nil {
			return err
		}
		if err := replies[0].expect("the message for another hash", "554 5.6.0"); err != nil {
			return err
		}
		return replies[1].expect("the message for its hash", "250 2.1.5")
	})
}
