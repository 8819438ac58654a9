package hosts

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/textproto"
	"os"
	"testing"
	"time"

	"permalink-milter/milter/mtatest"
	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry/redisreg"
)

// The load of each row: before the fault, while it lasts, and after it, a
// third each; more where the fault lasts longer.
var messages = flag.Int("messages", 180, "send at least so many `messages` through each host, in each row")

var daemonBin string

func TestMain(m *testing.M) {
	redisreg.LogTo(slog.New(slog.DiscardHandler))
	os.Exit(mtatest.RunWithDaemon(m, "../../..", &daemonBin))
}

// must ends the test at an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// limit is a context that ends a test which hangs.
func limit(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func startHosts(t *testing.T, names ...string) (hosts []*Host) {
	t.Helper()
	need.Program(t, "postfix", "postfix")
	for _, name := range names {
		h, err := Start(t.Context(), name)
		must(t, err)
		t.Cleanup(func() {
			if err := h.Stop(); err != nil {
				t.Error(err)
			}
		})
		hosts = append(hosts, h)
	}
	return hosts
}

// TestHostsAgreeThroughEachFault sends mail through two hosts at once while
// their registry fails in one way after the other. Nothing may be lost or
// doubled; both hosts must give a message the token that the registry holds
// for it in the end, but for what the conflicts files list.
func TestHostsAgreeThroughEachFault(t *testing.T) {
	lines := make([][]string, len(rows))
	t.Run("rows", func(t *testing.T) {
		// Most of a row's time is that of the guard's next try.
		for pair := range 2 {
			t.Run(fmt.Sprint("pair", pair), func(t *testing.T) {
				t.Parallel()
				hosts := startHosts(t, "mx1", "mx2")
				for i := pair; i < len(rows); i += 2 {
					t.Run(rows[i].name, func(t *testing.T) {
						lines[i] = append([]string{rows[i].name}, rows[i].run(t, hosts).cells()...)
					})
				}
			})
		}
	})
	head := []string{"fault", "sent", "delivered", "stamped", "right", "journalled", "replayed", "conflicts", "listed", "refused", "errors logged"}
	t.Log("\n" + Table(append([][]string{head}, lines...)))
}

// run is one row: topology, daemons, traffic, fault, verdict.
func (r row) run(t *testing.T, hosts []*Host) report {
	s := r.start(t)
	ctx := limit(t)
	dir := t.TempDir()
	for i, h := range hosts {
		must(t, h.StartDaemon(ctx, daemonBin, dir, Registry{URL: s.urls[i], OnFailure: r.onFailure, MinReplicas: s.minReplicas}))
		defer h.stopDaemon(t)
	}
	traffic := StartTraffic(ctx, hosts)
	awaitDelivered(t, hosts, *messages/3)
	mend := r.fault(t, s)
	r.awaitEffect(t, hosts)
	if r.crash {
		for _, h := range hosts {
			must(t, h.CrashDaemon(ctx))
		}
		awaitDelivered(t, hosts, *messages/3)
	}
	mend()
	for _, h := range hosts {
		must(t, h.WaitServed(ctx))
	}
	awaitDelivered(t, hosts, *messages/3)
	sent, err := traffic.Stop()
	must(t, err)
	return r.verdict(t, s, hosts, sent)
}

func (h *Host) stopDaemon(t *testing.T) {
	if t.Failed() {
		t.Log(h.Name, lastLines(h.Log(), 40))
	}
	must(t, h.StopDaemon())
}

// awaitDelivered waits for further messages from every host.
func awaitDelivered(t *testing.T, hosts []*Host, more int) {
	t.Helper()
	ctx := limit(t)
	want := make([]int, len(hosts))
	for i, h := range hosts {
		want[i] = len(h.Sink.Messages()) + more
	}
	for i, h := range hosts {
		_, err := h.Sink.Wait(ctx, want[i])
		must(t, err)
	}
}

// awaitEffect waits until mail has gone on under the fault for a while; where
// the daemons answer with 451, until every host has.
func (r row) awaitEffect(t *testing.T, hosts []*Host) {
	t.Helper()
	for _, host := range r.journals {
		must(t, hosts[host].WaitOutage(limit(t)))
	}
	if r.onFailure != "tempfail" {
		awaitDelivered(t, hosts, *messages/3)
		return
	}
	for _, h := range hosts {
		mustRefuse(t, h, 20)
	}
}

// mustRefuse offers a host a mail several times, and wants each answered with
// 451. The traffic alone need not show it: a host that had taken the current
// batches before the fault gets no further mail until the others have, too.
func mustRefuse(t *testing.T, h *Host, times int) {
	t.Helper()
	const beyondTraffic Message = 1 << 20
	ctx := limit(t)
	for range times {
		err := mtatest.Send(ctx, h.Addr(), beyondTraffic.Mail())
		var reply *textproto.Error
		if !errors.As(err, &reply) || reply.Code != 451 {
			t.Fatalf("%s: a mail during the outage: %v, want 451", h.Name, err)
		}
	}
}
