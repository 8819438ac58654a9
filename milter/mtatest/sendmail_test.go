package mtatest

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// needSendmail skips a test where testdata/unpack.sh has not unpacked Sendmail.
func needSendmail(t *testing.T) {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	need.Program(t, "m4", "m4")
	need.File(t, filepath.Join(cache, "permalink-milter", "sendmail", sendmailProgram), "testdata/unpack.sh sendmail sendmail-bin sendmail-base sendmail-cf")
}

func startSendmail(t *testing.T, o Options) *Sendmail {
	t.Helper()
	needSendmail(t)
	s, err := StartSendmail(limit(t), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSendmailStopLeavesNothing(t *testing.T) {
	sink := startSink(t)
	s := startSendmail(t, Options{Sink: sink.Addr()})
	if err := SendPipelined(limit(t), s.Remote(), numbered(5)...); err != nil {
		t.Fatal(err)
	}
	checkOnceEach(t, wait(t, sink, 5), 5)
	group := s.process.cmd.Process.Pid
	if got := groupMembers(group); len(got) < 1 {
		t.Errorf("processes %v before Stop; the test looks at the wrong group", got)
	}
	if err := errors.Join(s.Stop(), s.Stop()); err != nil {
		t.Error(err)
	}
	if got := groupMembers(group); len(got) != 0 {
		t.Errorf("processes %v are left", got)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("folder %s: %v", s.dir, err)
	}
}

func TestSendmailCommand(t *testing.T) {
	sink := startSink(t)
	filter, _ := startStamper(t, "x")
	s := startSendmail(t, Options{Sink: sink.Addr(), Milters: []string{filter}})
	if err := s.Sendmail(limit(t), "me@example.org", []string{"a@example.com", "b@example.com"}, []byte("Subject: x\n\n.\nhello\n")); err != nil {
		t.Fatal(err)
	}
	m := wait(t, sink, 1)[0]
	if m.From != "me@example.org" || !slices.Equal(m.To, []string{"a@example.com", "b@example.com"}) {
		t.Errorf("envelope %q %q", m.From, m.To)
	}
	if got := m.Header("X-Stamp"); !slices.Equal(got, []string{"x"}) || string(m.Body()) != ".\r\nhello\r\n" {
		t.Errorf("stamps %q, body %q", got, m.Body())
	}
	if err := untilEmpty(t, s); err != nil {
		t.Error(err)
	}
}

func TestDeferredMessageStaysInSendmailsQueue(t *testing.T) {
	sink := startSink(t)
	s := startSendmail(t, Options{Sink: sink.Addr()})
	sink.Refuse(-1)
	send1(t, s.Remote(), "Subject: waits\n\n")
	for sink.Refused() < 2 {
		if err := s.Flush(limit(t)); err != nil {
			t.Fatal(err)
		}
	}
	if empty, err := s.QueueEmpty(limit(t)); empty || err != nil {
		t.Errorf("empty %v, error %v", empty, err)
	}
	sink.Refuse(0)
	wait(t, sink, 1)
	if err := untilEmpty(t, s); err != nil {
		t.Error(err)
	}
}

func TestStartSendmailFails(t *testing.T) {
	needSendmail(t)
	for name, tc := range map[string]struct {
		options Options
		cache   string
		want    string
	}{
		"the sink has no port":     {Options{Sink: "127.0.0.1"}, "", "Options.Sink must be host:port"},
		"a milter has no port":     {Options{Sink: "127.0.0.1:25", Milters: []string{"inet:127.0.0.1"}}, "", "Options.Milters"},
		"an action is unknown":     {Options{Sink: "127.0.0.1:25", MilterDefaultAction: "x"}, "", "write tempfail, accept or reject"},
		"m4 makes no sense of it":  {Options{Sink: "127.0.0.1:25", ExtraMain: []string{"junk"}}, "", "unknown configuration line"},
		"nothing is unpacked here": {Options{Sink: "127.0.0.1:25"}, "/nowhere", "testdata/unpack.sh sendmail"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.cache != "" {
				t.Setenv("XDG_CACHE_HOME", tc.cache)
			}
			s, err := StartSendmail(limit(t), tc.options)
			if err == nil {
				s.Stop()
			}
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("want an error with %q, got %v", tc.want, err)
			}
		})
	}
}
