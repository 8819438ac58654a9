package doors

import (
	"context"
	"log/slog"
	"net"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/headertest"
	"permalink-milter/milter"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// A milterSite is a server with one MTA's session. The session has one message
// at a time, so that what the server notes is of the last one.
type milterSite struct {
	session  *gomilter.ClientSession
	requests []registry.Request
	refused  string
}

func (*milterSite) Connection(int)                    {}
func (*milterSite) Message(string, time.Duration)     {}
func (*milterSite) Reservation(string, time.Duration) {}
func (s *milterSite) Refused(reason string)           { s.refused = reason }

func (s *milterSite) reserve(_ context.Context, r registry.Request) (registry.Result, error) {
	s.requests = append(s.requests, r)
	return bare(r)
}

// milterDoor starts a server. The answers of the returned function are those
// of its edits.
func milterDoor(t testing.TB, policy *stamp.Policy) func(testing.TB, []byte) answer {
	t.Helper()
	s := &milterSite{}
	server := milter.NewServer(milter.Options{Policy: policy, Reserve: s.reserve, Observe: s, Log: slog.New(slog.DiscardHandler), IdleTimeout: time.Hour, MessageBudget: time.Minute})
	socket := filepath.Join(t.TempDir(), "milter.sock")
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(ln)
	client := gomilter.NewClientWithOptions("unix", socket, gomilter.ClientOptions{
		ReadTimeout: time.Minute, WriteTimeout: time.Minute, ActionMask: gomilter.OptAddHeader | gomilter.OptChangeHeader,
		ProtocolMask: gomilter.OptNoMailReply | gomilter.OptNoRcptReply | gomilter.OptNoHeaderReply | gomilter.OptNoEOH})
	if s.session, err = client.Session(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.session.Close()
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s.ask
}

func (s *milterSite) ask(t testing.TB, data []byte) answer {
	s.requests, s.refused = nil, ""
	h, _ := headertest.Read(data)
	edits, err := s.pass(h)
	if err != nil {
		t.Fatalf("%.200q: %v", data, err)
	}
	if s.refused == "header_limit" && len(edits) == 0 {
		return unnamed(over)
	}
	after, err := apply(h, edits)
	if err != nil {
		t.Errorf("%q: %v", data, err)
	}
	a := stamped(h, after)
	for _, r := range s.requests {
		if a[name] != none {
			a[identity] = r.Identity.String()
		}
	}
	return a
}

// pass sends a message to the milter and returns the edits.
func (s *milterSite) pass(h hashheader.Header) ([]gomilter.ModifyAction, error) {
	if _, err := s.session.Mail("a@example.org", nil); err != nil {
		return nil, err
	}
	for _, to := range recipients(h) {
		if _, err := s.session.Rcpt(to, nil); err != nil {
			return nil, err
		}
	}
	for _, f := range h {
		if _, err := s.session.HeaderField(f.Name, f.Value); err != nil {
			return nil, err
		}
	}
	edits, _, err := s.session.End()
	return edits, err
}

var listAddress = regexp.MustCompile(`(?i)[^\s<>(),;:"@]+@lists\.example\.org`)

// recipients returns the envelope of a message: a bystander, and all lists that
// a field could mean, with its white space and without, so that the milter has
// to find out which of them the message names.
func recipients(h hashheader.Header) []string {
	to := []string{"bystander@example.net"}
	for _, f := range h {
		if !slices.Contains([]string{"to", "cc", "resent-to", "resent-cc"}, strings.ToLower(f.Name)) {
			continue
		}
		unfolded := strings.NewReplacer("\r", "", "\n", "").Replace(f.Value)
		to = append(to, listAddress.FindAllString(unfolded, -1)...)
		to = append(to, listAddress.FindAllString(strings.Join(strings.Fields(unfolded), ""), -1)...)
	}
	return to
}

// apply makes the edits as an MTA does that counts the fields of a name anew
// after each deletion.
func apply(h hashheader.Header, edits []gomilter.ModifyAction) (hashheader.Header, error) {
	h = slices.Clone(h)
	for _, e := range edits {
		f := hashheader.Field{Name: e.HeaderName, Value: e.HeaderValue}
		switch e.Code {
		case gomilter.ActAddHeader:
			h = append(h, f)
			continue
		case gomilter.ActInsertHeader:
			h = slices.Insert(h, 0, f)
			continue
		}
		at, n := -1, uint32(0)
		for i := range h {
			if h[i].Is(f.Name) {
				n++
			}
			if n == e.HeaderIndex && at < 0 {
				at = i
			}
		}
		switch {
		case at < 0:
			return h, &missingField{f.Name}
		case f.Value == "":
			h = slices.Delete(h, at, at+1)
		default:
			h[at] = f
		}
	}
	return h, nil
}

// A missingField is one that an edit names and the message lacks.
type missingField struct{ name string }

func (e *missingField) Error() string { return "edit of a field that is not there: " + e.name }
