package conform

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
)

// An envelope is what a filter sees of a transaction.
type envelope struct {
	from string
	to   []string
}

// A passage is what became of a message at a filter.
type passage struct {
	before, after hashheader.Header
	added         []hashheader.Field
	edits         int
}

// pass sends a message to the filter as an MTA does, in a connection of its
// own, and makes the edits that the filter asks for.
func (f *filter) pass(ctx context.Context, e envelope, h hashheader.Header) (p passage, err error) {
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(testTimeout)
	}
	network, address := split(f.target.Address)
	client := gomilter.NewClientWithOptions(network, address, gomilter.ClientOptions{
		Dialer: &net.Dialer{Deadline: end}, ReadTimeout: time.Until(end), WriteTimeout: time.Until(end),
		ActionMask: gomilter.OptAddHeader | gomilter.OptChangeHeader})
	session, err := client.Session()
	if err != nil {
		return p, err
	}
	defer session.Close()
	edits, err := converse(session, e, h)
	if err != nil {
		return p, err
	}
	p.before, p.edits = h, len(edits)
	p.after, p.added, err = apply(h, edits)
	return p, err
}

// converse says what an MTA says, and returns the edits. A message that the
// filter accepts early has none.
func converse(s *gomilter.ClientSession, e envelope, h hashheader.Header) ([]gomilter.ModifyAction, error) {
	steps := []func() (*gomilter.Action, error){
		func() (*gomilter.Action, error) {
			return s.Conn("client.conform.invalid", gomilter.FamilyInet, 25, "192.0.2.1")
		},
		func() (*gomilter.Action, error) { return s.Helo("client.conform.invalid") },
		func() (*gomilter.Action, error) { return s.Mail("<"+e.from+">", nil) },
	}
	for _, to := range e.to {
		steps = append(steps, func() (*gomilter.Action, error) { return s.Rcpt("<"+to+">", nil) })
	}
	for _, f := range h {
		steps = append(steps, func() (*gomilter.Action, error) { return s.HeaderField(f.Name, f.Value) })
	}
	steps = append(steps, s.HeaderEnd, func() (*gomilter.Action, error) { return s.BodyChunk([]byte("hello\r\n")) })
	for _, step := range steps {
		if done, err := judgeAction(step()); done || err != nil {
			return nil, err
		}
	}
	edits, action, err := s.End()
	if _, err := judgeAction(action, err); err != nil {
		return nil, err
	}
	return edits, nil
}

// judgeAction reports whether the filter wants no more of the message. It is an
// error where the filter does not let it pass.
func judgeAction(a *gomilter.Action, err error) (done bool, _ error) {
	if err != nil {
		return false, err
	}
	switch a.Code {
	case gomilter.ActContinue, gomilter.ActSkip:
		return false, nil
	case gomilter.ActAccept:
		return true, nil
	}
	return false, fmt.Errorf("the filter does not pass the message on: %q, %d", a.Code, a.SMTPCode)
}

// apply makes edits as Postfix does, which counts the fields of a name anew
// after each deletion.
func apply(h hashheader.Header, edits []gomilter.ModifyAction) (after hashheader.Header, added []hashheader.Field, err error) {
	after = slices.Clone(h)
	for _, e := range edits {
		f := hashheader.Field{Name: e.HeaderName, Value: e.HeaderValue}
		switch e.Code {
		case gomilter.ActAddHeader:
			after, added = append(after, f), append(added, f)
		case gomilter.ActInsertHeader:
			after, added = slices.Insert(after, min(int(max(e.HeaderIndex, 1))-1, len(after)), f), append(added, f)
		case gomilter.ActChangeHeader:
			at := find(after, f.Name, int(e.HeaderIndex))
			if at < 0 {
				return nil, nil, fmt.Errorf("the filter changes %s number %d, which is not there", f.Name, e.HeaderIndex)
			}
			if f.Value == "" {
				after = slices.Delete(after, at, at+1)
				continue
			}
			after[at], added = f, append(added, f)
		default:
			return nil, nil, fmt.Errorf("the filter makes an edit %q that no rule asks for", e.Code)
		}
	}
	return after, added, nil
}

// find returns the index of the nth field of a name.
func find(h hashheader.Header, name string, n int) int {
	for i, f := range h {
		if !f.Is(name) {
			continue
		}
		if n--; n == 0 {
			return i
		}
	}
	return -1
}
