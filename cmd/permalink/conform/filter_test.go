package conform

import (
	"context"
	"log/slog"
	"net"
	"net/textproto"
	"slices"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
	"permalink-milter/milter"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
	"permalink-milter/registry/stamp/stamptest"
)

type unobserved struct{}

func (unobserved) Connection(int)                    {}
func (unobserved) Message(string, time.Duration)     {}
func (unobserved) Reservation(string, time.Duration) {}
func (unobserved) Refused(string)                    {}

func forgedTemplate(t *testing.T) hashheader.Template {
	t.Helper()
	template, err := hashheader.ParseTemplate(forgedHost + "{list}/{token}")
	if err != nil {
		t.Fatal(err)
	}
	return template
}

// startFilter starts our milter and returns its address.
func startFilter(t *testing.T, algorithm hashheader.Algorithm) string {
	t.Helper()
	policy := stamptest.Policy(t, func(p *stamp.Policy) {
		p.Emit, p.Algorithm = []string{algorithm.FieldName()}, algorithm
		p.Archives[0].URL = forgedTemplate(t)
	})
	reg := registry.New(memreg.New(), registry.Options{})
	server := milter.NewServer(milter.Options{Policy: policy, Reserve: reg.Reserve, Observe: unobserved{}, Log: slog.New(slog.DiscardHandler), IdleTimeout: time.Minute, MessageBudget: time.Minute})
	ln := listen(t)
	go server.Serve(ln)
	t.Cleanup(func() { server.Shutdown(context.Background()) })
	return ln.Addr().String()
}

func filterTests(t *testing.T, socket string, algorithm hashheader.Algorithm) []Test {
	t.Helper()
	tests, err := Filter(FilterTarget{"unix:" + socket, "devel@lists.example.org", forgedTemplate(t), algorithm})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

func TestOurFilterPasses(t *testing.T) {
	for _, algorithm := range hashheader.Algorithms {
		passes(t, filterTests(t, startFilter(t, algorithm), algorithm), 0)
	}
}

// A badFilter treats all messages alike.
type badFilter struct {
	gomilter.NoOpMilter
	end  func(*gomilter.Modifier) error
	mail gomilter.Response
}

func (b badFilter) MailFrom(string, *gomilter.Modifier) (gomilter.Response, error) {
	return b.mail, nil
}

func (b badFilter) Body(m *gomilter.Modifier) (gomilter.Response, error) {
	return gomilter.RespContinue, b.end(m)
}

func (badFilter) Header(string, string, *gomilter.Modifier) (gomilter.Response, error) {
	return gomilter.RespContinue, nil
}
func (badFilter) Headers(textproto.MIMEHeader, *gomilter.Modifier) (gomilter.Response, error) {
	return gomilter.RespContinue, nil
}

func startBadFilter(t *testing.T, b badFilter) string {
	t.Helper()
	server := &gomilter.Server{NewMilter: func() gomilter.Milter { return b }, Actions: gomilter.OptAddHeader | gomilter.OptChangeHeader}
	ln := listen(t)
	go func(ln net.Listener) { server.Serve(ln) }(ln)
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

// Every requirement is broken by one of three filters: one that does nothing,
// one that adds the same to all, and one that rejects all.
func TestEachFaultOfAFilterIsSeen(t *testing.T) {
	seen := make(map[string]bool)
	for name, b := range map[string]badFilter{
		"idle":    {end: func(*gomilter.Modifier) error { return nil }, mail: gomilter.RespContinue},
		"rejects": {mail: gomilter.RespReject},
		"meddles": {mail: gomilter.RespContinue, end: func(m *gomilter.Modifier) error {
			for _, f := range []hashheader.Field{{Name: "X-Message-ID-Hash", Value: "x"}, {Name: "Message-ID", Value: "<x.derived@conform.invalid>"},
				{Name: "Archived-At", Value: "\n\t<https://a.example/devel@lists.example.org/x>"}} {
				if err := m.AddHeader(f.Name, f.Value); err != nil {
					return err
				}
			}
			return m.ChangeHeader(1, "Subject", "")
		}},
	} {
		_, all := outcomes(t, filterTests(t, startBadFilter(t, b), hashheader.MD5))
		for _, r := range all {
			if broken(all, r.ID) {
				seen[r.ID] = true
			} else if name == "rejects" && r.Outcome != Skip {
				t.Errorf("%s: %+v", name, r)
			}
		}
	}
	for _, r := range Requirements {
		if slices.Contains(r.Profiles, "filter") && !seen[r.ID] {
			t.Errorf("no fault breaks %s", r.ID)
		}
	}
}
