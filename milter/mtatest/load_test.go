package mtatest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

func survivesKilledDaemon(t *testing.T, s site) {
	const n = 2000
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	mails := make([]Mail, n)
	for i := range mails {
		mails[i] = Mail{From: "a@example.org", To: []string{"devel@lists.example.org"},
			Data: fmt.Appendf(nil, "%sMessage-ID: <%d@example.org>\r\nSubject: %d\r\n\r\nhello\r\n", common, i, i)}
	}
	sent := make(chan error, 1)
	go func() { sent <- SendUntilAccepted(ctx, s.mta.Remote(), 20, mails...) }()
	for _, end := range []func() error{s.daemon.Kill, s.daemon.Stop} {
		time.Sleep(100 * time.Millisecond)
		if len(sent) > 0 {
			t.Error("the load was over before the daemon ended")
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if err := s.daemon.Restart(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	s.checkAllStamped(ctx, t, n)
}

// checkAllStamped waits for n messages and finds each stamped with a token of its own.
func (s site) checkAllStamped(ctx context.Context, t *testing.T, n int) {
	t.Helper()
	messages, err := s.sink.Wait(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, m := range messages {
		seen[checkStamped(t, m)]++
	}
	if len(seen) != n || len(messages) != n {
		t.Errorf("%d messages with %d tokens, want %d of each", len(messages), len(seen), n)
	}
}

// stampsLoad sends with Postfix's smtp-source, whose messages have ids of their own.
func stampsLoad(t *testing.T, s site) {
	const n = 3000
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := Load(ctx, s.mta.Remote(), 50, n, "-d", "-f", "a@example.org", "-t", "devel@lists.example.org", "-l", "2000"); err != nil {
		t.Fatal(err)
	}
	s.checkAllStamped(ctx, t, n)
}

func daemonDownIsATemporaryFailure(t *testing.T, s site) {
	if err := s.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	mail := Mail{From: "a@example.org", To: []string{"devel@lists.example.org"}, Data: []byte(common + "\r\n")}
	if err := Send(limit(t), s.mta.Remote(), mail); err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), `"`, ""), s.down) {
		t.Errorf("want the reply %s, got %v", s.down, err)
	}
}
