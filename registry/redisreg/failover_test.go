package redisreg_test

import (
	"errors"
	"testing"
	"time"

	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
)

// must ends the test unless err is nil, or the error that is wanted.
func must(t testing.TB, err error, want ...error) {
	t.Helper()
	if len(want) == 0 && err != nil || len(want) == 1 && !errors.Is(err, want[0]) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func TestAcknowledgedReservationsOutliveAKilledServer(t *testing.T) {
	t.Parallel()
	s := server(t, "--appendonly", "yes", "--appendfsync", "always")
	l := startLoad(t, redisreg.Options{URL: "redis://" + s.Addr(), Timeout: time.Second})
	l.progress(2000)
	s.Kill()
	must(t, s.Restart())
	l.progress(500)
	l.finish()
}

func TestAcknowledgedReservationsOutliveASentinelFailover(t *testing.T) {
	t.Parallel()
	g := group(t, redistest.StartSentinel)
	l := startLoad(t, redisreg.Options{URL: sentinelURL(g), Timeout: time.Second, MinReplicas: 1})
	l.progress(500)
	old, err := g.Primary()
	must(t, err)
	old.Kill()
	must(t, awaitSuccessor(g, old))
	l.progress(500)
	// It comes back as a primary of nothing, until the Sentinels tell it.
	must(t, old.Restart())
	l.progress(500)
	l.finish()
}

func TestAcknowledgedReservationsOutliveAReshardingAndAKilledPrimary(t *testing.T) {
	t.Parallel()
	g := group(t, redistest.StartCluster)
	l := startLoad(t, redisreg.Options{URL: clusterURL(g), Timeout: 3 * time.Second, MinReplicas: 1})
	l.progress(500)
	must(t, g.Reshard(g.Servers[0], g.Servers[1], 600))
	if refused := l.refused.Load(); refused > 0 {
		t.Errorf("%d reservations refused during a resharding", refused)
	}
	l.progress(500)
	g.Servers[1].Kill()
	must(t, g.Promoted(g.Servers[1]))
	l.progress(500)
	must(t, g.Servers[1].Restart())
	must(t, g.Settled())
	l.progress(500)
	l.finish()
}
