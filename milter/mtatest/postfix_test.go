package mtatest

import (
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/milter/mtatest/need"
)

func TestPostfix(t *testing.T) {
	sink := startSink(t)
	first, putOff := startStamper(t, "first")
	second, _ := startStamper(t, "second")
	p := startPostfix(t, Options{Milters: []string{first, second}, Sink: sink.Addr()})
	fresh := func(t *testing.T) {
		t.Helper()
		sink.Reset()
		if err := untilEmpty(t, p); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("a remote client's message gets no field but Received and the milters' own, in their order", func(t *testing.T) {
		fresh(t)
		data := "Subject: odd\n  folded\nX-Raw: \xe9\n\n.dot\nlast\n"
		send1(t, p.Remote(), data)
		m := wait(t, sink, 1)[0]
		fields := m.Fields()
		if !strings.HasPrefix(fields[0], "Received: from client.example.net") {
			t.Errorf("first field is %q", fields[0])
		}
		want := []string{"Subject: odd\r\n  folded\r\n", "X-Raw: \xe9\r\n", "X-Stamp: first\r\n", "X-Stamp: second\r\n"}
		if diff := cmp.Diff(want, fields[1:]); diff != "" {
			t.Error(diff)
		}
		if got := string(m.Body()); got != ".dot\r\nlast\r\n" {
			t.Errorf("body %q", got)
		}
	})

	t.Run("a local client's message is completed with a Message-Id", func(t *testing.T) {
		fresh(t)
		send1(t, p.Local(), "Subject: x\n\nbody\n")
		if got := wait(t, sink, 1)[0].Header("Message-ID"); len(got) != 1 {
			t.Errorf("Message-ID %q", got)
		}
	})

	t.Run("the sendmail command passes the milters", func(t *testing.T) {
		fresh(t)
		msg := []byte("Subject: by command\n\n.\nbody\n")
		if err := p.Sendmail(limit(t), "me@example.org", []string{"a@example.com", "b@example.com"}, msg); err != nil {
			t.Fatal(err)
		}
		m := wait(t, sink, 1)[0]
		if m.From != "me@example.org" || !slices.Equal(m.To, []string{"a@example.com", "b@example.com"}) {
			t.Errorf("envelope %q %q", m.From, m.To)
		}
		if got := m.Header("X-Stamp"); !slices.Equal(got, []string{"first", "second"}) || string(m.Body()) != ".\r\nbody\r\n" {
			t.Errorf("stamps %q, body %q", got, m.Body())
		}
	})

	t.Run("a message in UTF-8 keeps its addresses", func(t *testing.T) {
		fresh(t)
		mail := Mail{From: "jörg@example.net", To: []string{"liste@exämple.org"}, Data: []byte("Subject: ü\n\n"), SMTPUTF8: true}
		if err := Send(limit(t), p.Remote(), mail); err != nil {
			t.Fatal(err)
		}
		m := wait(t, sink, 1)[0]
		if m.From != mail.From || !slices.Equal(m.To, mail.To) || !slices.Contains(m.Params, "SMTPUTF8") {
			t.Errorf("envelope %q %q %q", m.From, m.To, m.Params)
		}
	})

	t.Run("ten megabytes arrive unchanged", func(t *testing.T) {
		fresh(t)
		body := strings.Repeat(strings.Repeat("x", 79)+"\n", 10<<20/80)
		send1(t, p.Remote(), "Subject: big\n\n"+body)
		if got := string(wait(t, sink, 1)[0].Body()); got != strings.ReplaceAll(body, "\n", "\r\n") {
			t.Errorf("%d bytes differ from what was sent", len(got))
		}
	})

	t.Run("pipelined messages on one connection arrive once each", func(t *testing.T) {
		fresh(t)
		if err := SendPipelined(limit(t), p.Remote(), numbered(30)...); err != nil {
			t.Fatal(err)
		}
		checkOnceEach(t, wait(t, sink, 30), 30)
	})

	t.Run("a refusal names the mail and carries the reply", func(t *testing.T) {
		fresh(t)
		mails := numbered(3)
		mails[1].To = nil
		for name, send := range senders {
			err := send(limit(t), p.Remote(), mails...)
			var failed *SendError
			var reply *textproto.Error
			if !errors.As(err, &failed) || failed.Index != 1 || !errors.As(err, &reply) || reply.Code != 554 {
				t.Errorf("%s: got %v", name, err)
			}
		}
		wait(t, sink, len(senders))
	})

	t.Run("what a milter puts off is sent again by a patient client", func(t *testing.T) {
		fresh(t)
		putOff.Store(5)
		if err := Send(limit(t), p.Remote(), numbered(1)...); !isReply(err, 451) {
			t.Errorf("want a 451, got %v", err)
		}
		if err := SendUntilAccepted(limit(t), p.Remote(), 3, numbered(20)...); err != nil {
			t.Fatal(err)
		}
		checkOnceEach(t, wait(t, sink, 20), 20)
	})

	t.Run("the queue runs while load goes on", func(t *testing.T) {
		fresh(t)
		before := sink.Refused()
		sink.Refuse(10)
		if err := Load(limit(t), p.Remote(), 20, 500, "-l", "2000", "-d"); err != nil {
			t.Fatal(err)
		}
		if got := wait(t, sink, 500); len(got) != 500 {
			t.Errorf("%d messages", len(got))
		}
		if got := sink.Refused() - before; got != 10 {
			t.Errorf("the sink refused %d messages", got)
		}
	})

	t.Run("a deferred message stays in the queue until it is delivered", func(t *testing.T) {
		fresh(t)
		before := sink.Refused()
		sink.Refuse(-1)
		send1(t, p.Remote(), "Subject: waits\n\n")
		for sink.Refused() < before+2 {
			if err := p.Flush(limit(t)); err != nil {
				t.Fatal(err)
			}
		}
		if empty, err := p.QueueEmpty(limit(t)); empty || err != nil {
			t.Errorf("empty %v, error %v", empty, err)
		}
		sink.Refuse(0)
		wait(t, sink, 1)
	})
}

func TestPostfixStopLeavesNothing(t *testing.T) {
	sink := startSink(t)
	p := startPostfix(t, Options{Sink: sink.Addr()})
	if err := SendPipelined(limit(t), p.Remote(), numbered(5)...); err != nil {
		t.Fatal(err)
	}
	group := p.process.cmd.Process.Pid
	if got := groupMembers(group); len(got) < 3 {
		t.Errorf("processes %v before Stop; the test looks at the wrong group", got)
	}
	if err := errors.Join(p.Stop(), p.Stop()); err != nil {
		t.Error(err)
	}
	if got := groupMembers(group); len(got) != 0 {
		t.Errorf("processes %v are left", got)
	}
	if _, err := os.Stat(p.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %s: %v", p.dir, err)
	}
}

func TestPostfixMilterDownIsATemporaryFailure(t *testing.T) {
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	sink := startSink(t)
	p := startPostfix(t, Options{Sink: sink.Addr(), Milters: []string{fmt.Sprintf("inet:127.0.0.1:%d", port)}})
	if err := Send(limit(t), p.Remote(), numbered(1)...); !isReply(err, 451) {
		t.Errorf("want a 451, got %v", err)
	}
}

func TestStartPostfixFails(t *testing.T) {
	need.Program(t, "postfix", postfixPackage)
	locked := t.TempDir()
	if err := os.Chmod(locked, 0o700); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		options Options
		path    string
		want    string
	}{
		"a parent keeps the user postfix out":       {Options{Dir: locked + "/sub", Sink: "127.0.0.1:25"}, os.Getenv("PATH"), "chmod o+x"},
		"the sink has no port":                      {Options{Sink: "127.0.0.1"}, os.Getenv("PATH"), "Options.Sink must be host:port"},
		"the configuration is not for this machine": {Options{Sink: "127.0.0.1:25", ExtraMain: []string{"inet_interfaces = 192.0.2.250"}}, os.Getenv("PATH"), "start a private Postfix"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			openParents(t, os.TempDir())
			_, err := StartPostfix(limit(t), tc.options)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
			if left, _ := os.ReadDir(os.TempDir()); len(left) != 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestMissingProgramNamesThePackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := program("postfix-that-nobody-has", postfixPackage)
	if !errors.Is(err, ErrMissingProgram) || !strings.Contains(err.Error(), "apt-get install postfix") {
		t.Errorf("got %v", err)
	}
}

func TestExtraMainReplacesTheHarnessesOwnLine(t *testing.T) {
	got := overrideMain("a = 1\nb = 2\nc = 3\n", []string{"b=9 = 8", "d = 4"})
	if want := "a = 1\nc = 3\nb=9 = 8\nd = 4\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
