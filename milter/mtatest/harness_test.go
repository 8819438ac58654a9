package mtatest

import (
	"context"
	"errors"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	"permalink-milter/milter/mtatest/need"
)

// stampFilter adds one field, and can be told to put off the next messages.
type stampFilter struct {
	milter.NoOpMilter
	value  string
	putOff *atomic.Int32
}

func (f stampFilter) Headers(_ textproto.MIMEHeader, m *milter.Modifier) (milter.Response, error) {
	return milter.RespContinue, nil
}

func (f stampFilter) Body(m *milter.Modifier) (milter.Response, error) {
	if f.putOff.Add(-1) >= 0 {
		return milter.RespTempFail, nil
	}
	if err := m.AddHeader("X-Stamp", f.value); err != nil {
		return nil, err
	}
	return milter.RespContinue, nil
}

// startStamper runs a milter that adds "X-Stamp: value" and returns its address as Options.Milters takes it. putOff
// is how many of the next messages it answers with 451.
func startStamper(t *testing.T, value string) (addr string, putOff *atomic.Int32) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	putOff = new(atomic.Int32)
	server := &milter.Server{
		NewMilter: func() milter.Milter { return stampFilter{value: value, putOff: putOff} },
		Actions:   milter.OptAddHeader,
		Protocol:  milter.OptNoConnect | milter.OptNoHelo | milter.OptNoBody,
	}
	go server.Serve(ln)
	t.Cleanup(func() { ln.Close() })
	return "inet:" + ln.Addr().String(), putOff
}

func startSink(t *testing.T) *Sink {
	t.Helper()
	s, err := StartSink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func startPostfix(t *testing.T, o Options) *Postfix {
	t.Helper()
	need.Program(t, "postfix", postfixPackage)
	p, err := StartPostfix(limit(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(p.Log())
		}
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// limit is a context that ends a test which hangs.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func wait(t *testing.T, s *Sink, n int) []Message {
	t.Helper()
	got, err := s.Wait(limit(t), n)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func numbered(n int) []Mail {
	var mails []Mail
	for i := range n {
		id := strconv.Itoa(i)
		mails = append(mails, Mail{
			From: "author@example.net", To: []string{"list@lists.example.org"},
			Data: []byte("Subject: " + id + "\nMessage-ID: <" + id + "@example.net>\n\n" + strings.Repeat("text\n", i%7)),
		})
	}
	return mails
}

func subjects(messages []Message) map[string]int {
	count := map[string]int{}
	for _, m := range messages {
		count[strings.Join(m.Header("Subject"), "|")]++
	}
	return count
}

var senders = map[string]func(context.Context, string, ...Mail) error{"one by one": Send, "pipelined": SendPipelined}

func send1(t *testing.T, addr, data string) {
	t.Helper()
	mail := Mail{From: "author@example.net", To: []string{"list@lists.example.org"}, Data: []byte(data)}
	if err := Send(limit(t), addr, mail); err != nil {
		t.Fatal(err)
	}
}

func untilEmpty(t *testing.T, m MTA) error {
	t.Helper()
	ctx := limit(t)
	for {
		if empty, err := m.QueueEmpty(ctx); empty || err != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func checkOnceEach(t *testing.T, messages []Message, n int) {
	t.Helper()
	count := subjects(messages)
	for i := range n {
		if got := count[strconv.Itoa(i)]; got != 1 {
			t.Errorf("message %d came %d times", i, got)
		}
	}
}

func isReply(err error, code int) bool {
	var reply *textproto.Error
	return errors.As(err, &reply) && reply.Code == code
}

// openParents lets every user pass the folders that t.TempDir makes for this test alone.
func openParents(t *testing.T, dir string) {
	t.Helper()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}
