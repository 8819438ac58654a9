package redisreg_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
	"permalink-milter/registry/registrytest/faultproxy"
	"permalink-milter/registry/registrytest/history"
)

var (
	schedules = flag.Int("schedules", 0, "fault schedules on one server, and ten times as many as under Sentinels and on a Cluster; 0 runs a few")
	firstSeed = flag.Uint64("seed", 1, "the first schedule's seed")
)

const historyClients = 6

// A fault happens and ends again.
type fault func(r *rand.Rand) error

// A schedule is one run of clients beside one sequence of faults.
type schedule struct {
	history.Workload
	rand  *rand.Rand
	hosts []*redisreg.Store // one for every two clients
	// faults are what may happen during the calls. Each one ends by itself.
	faults []fault
}

// newSchedule opens the stores of the hosts. URLs are theirs.
func newSchedule(t *testing.T, seed uint64, o redisreg.Options, urls []string) *schedule {
	s := &schedule{rand: rand.New(rand.NewPCG(seed, 0))}
	s.Workload = history.Workload{Seed: seed, List: fmt.Sprintf("run%d@lists.example.org", seed), Hashes: 8, Shared: 3, Calls: 180, Timeout: time.Second}
	for _, u := range urls {
		o.URL = u
		store, err := redisreg.Open(o)
		must(t, err)
		t.Cleanup(func() { store.Close() })
		s.hosts = append(s.hosts, store)
	}
	return s
}

// run makes all calls while faults come and go, and checks the answers.
func (s *schedule) run(t *testing.T) (v *history.Violation, calls int) {
	t.Helper()
	h := history.New()
	clock := func() time.Time { return time.Unix(1800000000, 0) }
	ctx, cancel := context.WithCancel(t.Context())
	var clients, chaos sync.WaitGroup
	record := func(client int) registry.Registry {
		return h.Record(registry.New(s.hosts[client%len(s.hosts)], registry.Options{Now: clock}), clock)
	}
	for client := range historyClients {
		clients.Go(func() { s.Run(ctx, client, record(client)) })
	}
	chaos.Go(func() {
		for ctx.Err() == nil && len(s.faults) > 0 {
			time.Sleep(time.Duration(s.rand.IntN(40)) * time.Millisecond)
			if err := s.faults[s.rand.IntN(len(s.faults))](s.rand); err != nil {
				t.Error(err)
				return
			}
		}
	})
	clients.Wait()
	cancel()
	chaos.Wait()
	s.finish(t, record(0))
	v, err := h.Check(0, time.Minute)
	must(t, err)
	return v, h.Len()
}

// finish waits until the registry answers again.
func (s *schedule) finish(t *testing.T, reg registry.Registry) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		err := s.Finish(t.Context(), reg)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func (s *schedule) report(t *testing.T, v *history.Violation) {
	t.Helper()
	picture := filepath.Join(os.TempDir(), fmt.Sprintf("permalink-history-%d.html", s.Seed))
	must(t, v.Picture(picture))
	t.Errorf("no registry answers like this one call at a time (run again with -seed %d -schedules 1; %s draws it):\n%s", s.Seed, picture, v)
}

// runSchedules runs a few schedules, or a share of as many as the flag says, and
// prints how many calls they made.
func runSchedules(t *testing.T, few, share int, open func(t *testing.T, seed uint64) *schedule) {
	t.Helper()
	n := few
	if *schedules > 0 {
		n = max(*schedules/share, 1)
	}
	calls := 0
	for i := range n {
		seed := *firstSeed + uint64(i)
		ok := t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			s := open(t, seed)
			v, n := s.run(t)
			if calls += n; v != nil {
				s.report(t, v)
			}
		})
		if !ok {
			return
		}
	}
	t.Logf("%d schedules, %d calls: each history is linearizable", n, calls)
}

// proxies returns the proxies between three hosts and a server.
func proxies(t *testing.T, server string) (all []*faultproxy.Proxy, urls []string) {
	for range 3 {
		p, err := faultproxy.Start(t.Context(), server)
		must(t, err)
		t.Cleanup(func() { p.Close() })
		all, urls = append(all, p), append(urls, "redis://"+p.Addr())
	}
	return all, urls
}

// networkFaults are what a network does to one of the hosts.
func networkFaults(hosts []*faultproxy.Proxy) []fault {
	during := func(mode func(*rand.Rand) faultproxy.Mode) fault {
		return func(r *rand.Rand) error {
			p := hosts[r.IntN(len(hosts))]
			p.Set(mode(r))
			time.Sleep(time.Duration(r.IntN(250)) * time.Millisecond)
			p.Set(faultproxy.Pass)
			return nil
		}
	}
	return []fault{
		during(func(*rand.Rand) faultproxy.Mode { return faultproxy.BlackHole }),
		during(func(*rand.Rand) faultproxy.Mode { return faultproxy.Refuse }),
		during(func(r *rand.Rand) faultproxy.Mode { return faultproxy.CutAfter(r.IntN(2000)) }),
		during(func(r *rand.Rand) faultproxy.Mode {
			return faultproxy.Delay(time.Duration(r.IntN(40)) * time.Millisecond)
		}),
		func(r *rand.Rand) error { hosts[r.IntN(len(hosts))].Cut(); return nil },
	}
}

// kill kills a server, which comes back at once.
func kill(s *redistest.Server) fault {
	return func(r *rand.Rand) error {
		s.Kill()
		time.Sleep(time.Duration(r.IntN(50)) * time.Millisecond)
		return s.Restart()
	}
}

// stall stops one of the servers for a while.
func stall(longest time.Duration, servers ...*redistest.Server) fault {
	return func(r *rand.Rand) error {
		s := servers[r.IntN(len(servers))]
		s.Signal(syscall.SIGSTOP)
		time.Sleep(rand.N(longest))
		s.Signal(syscall.SIGCONT)
		return nil
	}
}

func forget(s *redistest.Server) fault {
	return func(*rand.Rand) error {
		_, err := s.CLI("script", "flush")
		return err
	}
}

func TestHistoriesOfOneServerAreLinearizable(t *testing.T) {
	t.Parallel()
	s := server(t, "--appendonly", "yes", "--appendfsync", "always")
	runSchedules(t, 12, 1, func(t *testing.T, seed uint64) *schedule {
		hosts, urls := proxies(t, s.Addr())
		run := newSchedule(t, seed, redisreg.Options{Timeout: 200 * time.Millisecond}, urls)
		run.Lookups = true
		run.faults = append(networkFaults(hosts), kill(s), stall(300*time.Millisecond, s), forget(s))
		return run
	})
}

// failOver kills or stops the primary, and brings it back when another server
// is in its place.
func failOver(g *redistest.Group) fault {
	return func(r *rand.Rand) error {
		old, err := g.Primary()
		if err != nil {
			return err
		}
		back := old.Restart
		if r.IntN(2) == 0 {
			old.Signal(syscall.SIGSTOP)
			back = func() error { old.Signal(syscall.SIGCONT); return nil }
		} else {
			old.Kill()
		}
		return errors.Join(awaitSuccessor(g, old), back())
	}
}

func awaitSuccessor(g *redistest.Group, old *redistest.Server) error {
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if now, err := g.Primary(); err != nil || now != old {
			return err
		}
	}
	return errors.New("the Sentinels choose no other primary")
}

// surprise cuts the primary off from its replicas for a moment and then kills
// it. What it acknowledged alone in that moment is lost.
func surprise(g *redistest.Group) fault {
	return func(*rand.Rand) error {
		old, err := g.Primary()
		if err != nil {
			return err
		}
		for _, s := range g.Servers {
			if s != old {
				s.Signal(syscall.SIGSTOP)
				defer s.Signal(syscall.SIGCONT)
			}
		}
		_, err = old.CLI("client", "kill", "type", "replica")
		time.Sleep(300 * time.Millisecond)
		old.Kill()
		for _, s := range g.Servers {
			s.Signal(syscall.SIGCONT)
		}
		return errors.Join(err, awaitSuccessor(g, old), old.Restart())
	}
}

// TestAFailoverThatLosesAnswersIsFound shows that the check notices where
// answers do not wait for the replicas.
func TestAFailoverThatLosesAnswersIsFound(t *testing.T) {
	t.Parallel()
	g := group(t, redistest.StartSentinel)
	for seed := range uint64(10) {
		run := newSchedule(t, seed, redisreg.Options{Timeout: 300 * time.Millisecond}, []string{sentinelURL(g)})
		run.Calls = 1000 // so that they last until the primary is alone
		run.faults = []fault{surprise(g)}
		if v, _ := run.run(t); v != nil {
			t.Logf("found with seed %d:\n%s", seed, v)
			return
		}
	}
	t.Error("10 histories show nothing of it")
}

func TestHistoriesUnderSentinelsAreLinearizable(t *testing.T) {
	t.Parallel()
	g := group(t, redistest.StartSentinel)
	runSchedules(t, 3, 10, func(t *testing.T, seed uint64) *schedule {
		url := sentinelURL(g)
		run := newSchedule(t, seed, redisreg.Options{Timeout: 300 * time.Millisecond, MinReplicas: 2}, []string{url, url, url})
		run.faults = []fault{failOver(g), surprise(g), stall(time.Second, g.Servers...)}
		return run
	})
}

// failNode kills a primary of a Cluster, and brings it back when its replica is
// in its place.
func failNode(g *redistest.Group) fault {
	return func(r *rand.Rand) error {
		primaries, err := g.Primaries()
		if err != nil {
			return err
		}
		dead := primaries[r.IntN(len(primaries))]
		dead.Kill()
		return errors.Join(g.Promoted(dead), dead.Restart(), g.Settled())
	}
}

// reshard moves slots from one primary of a Cluster to another.
func reshard(g *redistest.Group) fault {
	return func(r *rand.Rand) error {
		primaries, err := g.Primaries()
		if err != nil {
			return err
		}
		from := r.IntN(len(primaries))
		return errors.Join(g.Reshard(primaries[from], primaries[(from+1)%len(primaries)], 200), g.Settled())
	}
}

func TestHistoriesOfAClusterAreLinearizable(t *testing.T) {
	t.Parallel()
	g := group(t, redistest.StartCluster)
	runSchedules(t, 3, 10, func(t *testing.T, seed uint64) *schedule {
		url := clusterURL(g)
		run := newSchedule(t, seed, redisreg.Options{Timeout: time.Second, MinReplicas: 1}, []string{url, url, url})
		run.faults = []fault{failNode(g), reshard(g)}
		return run
	})
}
