package hosts

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-milter"

	"permalink-milter/registry/registrytest/faultproxy"
)

// registryTimeout is registry.timeout's default, and opensAfter the number of
// failures in a row after which the guard no longer waits.
const (
	registryTimeout = 500 * time.Millisecond
	opensAfter      = 3
)

// TestOutagesDelayTheFirstMessagesOnly measures at the daemon's milter socket
// how long a message waits for its answer, one message after the other, and
// prints it beside the figures of a registry that works.
func TestOutagesDelayTheFirstMessagesOnly(t *testing.T) {
	h := startHosts(t, "mx1")[0]
	n := min(*messages, 1000)
	table := [][]string{{"registry", "messages", "p50", "p90", "p99", "max", "waited"}}
	for _, r := range []row{
		{name: "works", start: alone, fault: noFault},
		{name: "dead", start: alone, fault: killed},
		{name: "black hole", start: alone, fault: mode(faultproxy.BlackHole)},
		{name: "each packet 400 ms late", start: alone, fault: mode(faultproxy.Delay(400 * time.Millisecond))},
	} {
		t.Run(r.name, func(t *testing.T) {
			times := r.delays(t, h, n)
			// A busy machine may stall a message as well.
			if got := waited(times); got > opensAfter+n/50 {
				t.Errorf("%d of %d messages waited for the registry", got, n)
			}
			at := func(share float64) string {
				return times[int(share*float64(n-1))].Round(10 * time.Microsecond).String()
			}
			table = append(table, []string{r.name, fmt.Sprint(n), at(0.5), at(0.9), at(0.99), at(1), fmt.Sprint(waited(times))})
		})
	}
	t.Log("\n" + Table(table))
}

// delays returns what messages waited under the fault, the shortest first.
func (r row) delays(t *testing.T, h *Host, n int) []time.Duration {
	s := r.start(t)
	must(t, h.StartDaemon(limit(t), daemonBin, t.TempDir(), Registry{URL: s.urls[0]}))
	defer h.stopDaemon(t)
	mend := r.fault(t, s)
	times := make([]time.Duration, n)
	session := openMilter(t, h)
	for i := range n {
		times[i] = endOfMessage(t, session, Message(i))
		time.Sleep(10 * time.Millisecond) // so that the guard tries the registry meanwhile
	}
	mend()
	must(t, h.WaitServed(limit(t)))
	slices.Sort(times)
	return times
}

// waited counts those that came near the budget of a registry call.
func waited(times []time.Duration) (n int) {
	for _, d := range times {
		if d > registryTimeout/2 {
			n++
		}
	}
	return n
}

func openMilter(t *testing.T, h *Host) *milter.ClientSession {
	client := milter.NewClientWithOptions("tcp", h.milter, milter.ClientOptions{
		ReadTimeout: time.Minute, WriteTimeout: time.Minute, ActionMask: milter.OptAddHeader | milter.OptChangeHeader,
		ProtocolMask: milter.OptNoConnect | milter.OptNoHelo | milter.OptNoBody})
	t.Cleanup(func() { client.Close() })
	session, err := client.Session()
	must(t, err)
	t.Cleanup(func() { session.Close() })
	return session
}

// endOfMessage sends one message and returns how long its end took to be
// answered.
func endOfMessage(t *testing.T, s *milter.ClientSession, m Message) time.Duration {
	t.Helper()
	done := func(_ *milter.Action, err error) { must(t, err) }
	done(s.Mail("alice@example.org", nil))
	done(s.Rcpt(List, nil))
	done(s.HeaderField("Message-ID", "<"+m.id()+">"))
	done(s.HeaderField("Date", m.date()))
	done(s.HeaderEnd())
	begin := time.Now()
	actions, answer, err := s.End()
	took := time.Since(begin)
	must(t, err)
	if answer.Code != milter.ActContinue || len(actions) != 2 {
		t.Fatalf("message %d: %v, %v", m, answer, actions)
	}
	return took
}
