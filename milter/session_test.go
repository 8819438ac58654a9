package milter_test

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"
	"go.uber.org/goleak"

	"permalink-milter/hashheader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	abc     = "Message-ID: <abc@example.org>"
	abcHash = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	listID  = "List-Id: Dev <devel.lists.example.org>"
	abcURL  = "https://lists.example.org/devel@lists.example.org/"
)

// send plays an MTA: one message on a session of its own or a given one.
func send(t *testing.T, s *gomilter.ClientSession, header hashheader.Header) []gomilter.ModifyAction {
	t.Helper()
	must := func(_ *gomilter.Action, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Mail("a@example.org", nil))
	must(s.Rcpt("devel@lists.example.org", nil))
	for _, f := range header {
		must(s.HeaderField(f.Name, f.Value))
	}
	must(s.HeaderEnd())
	actions, act, err := s.End()
	if err != nil || act.Code != gomilter.ActContinue {
		t.Fatalf("end of message: %v, %v", act, err)
	}
	return actions
}

func dial(t *testing.T, addr string) *gomilter.ClientSession {
	t.Helper()
	return dialOffering(t, addr, 0x1fffff)
}

func dialOffering(t *testing.T, addr string, protocol gomilter.OptProtocol) *gomilter.ClientSession {
	t.Helper()
	o := gomilter.ClientOptions{ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second,
		ActionMask: 0x1ff, ProtocolMask: protocol}
	c := gomilter.NewClientWithOptions("tcp", addr, o)
	t.Cleanup(func() { c.Close() })
	s, err := c.Session()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

var first = hashheader.Header{{Name: "Message-ID", Value: "<abc@example.org>"}, {Name: "Date", Value: "Tue, 24 Nov 2026 11:00:00 +0000"}}

func TestSecondPassChangesNothing(t *testing.T) {
	s := dial(t, serve(t, nil))
	header := slices.Clone(first)
	for _, a := range send(t, s, header) {
		header = append(header, hashheader.Field{Name: a.HeaderName, Value: a.HeaderValue})
	}
	if len(header) != 4 {
		t.Fatalf("stamped header: %q", header)
	}
	if again := send(t, s, header); len(again) != 0 {
		t.Errorf("second pass: %+v", again)
	}
}

func TestStrangersAreSentAway(t *testing.T) {
	addr := serve(t, nil)
	for name, text := range map[string]string{
		"a bare connect":   "",
		"a web browser":    "GET / HTTP/1.1\r\n\r\n",
		"half a packet":    "\x00\x00\x00\x0dO\x00",
		"an old version":   "\x00\x00\x00\x0dO\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00",
		"an empty packet":  "\x00\x00\x00\x00",
		"a giant packet":   "\xff\xff\xff\xffO",
		"unknown commands": "\x00\x00\x00\x0dO\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xff\xff\x00\x00\x00\x01!",
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, text)
			c.(*net.TCPConn).CloseWrite()
			c.SetReadDeadline(time.Now().Add(30 * time.Second))
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("not sent away: %v", err)
			}
		})
	}
	if got := send(t, dial(t, addr), first); len(got) != 2 {
		t.Errorf("a good client afterwards: %+v", got)
	}
}
