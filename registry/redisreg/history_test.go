package redisreg_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
	"permalink-milter/registry/registrytest/history"
)

var (
	schedules = flag.Int("schedules", 0, "fault schedules on one server, and ten times as many as under Sentinels and on a Cluster; 0 runs a few")
	firstSeed = flag.Uint64("seed", 1, "the first schedule's seed")
)

const historyClients = 6

// A fault happens to the servers and ends again.
type fault func(r *rand.Rand) error

// A schedule is one run of clients beside two sequences of faults, that of the
// hosts and that of the servers.
type schedule struct {
	history.Workload
	history    *history.History
	hosts      []*host // one for every two clients
	hostFaults []hostFault
	faults     []fault // that may happen to the servers during the calls
}

// newSchedule starts three hosts. Journals says whether they have one.
func newSchedule(t *testing.T, seed uint64, o redisreg.Options, journals bool) *schedule {
	t.Helper()
	s := &schedule{hostFaults: hostFaults, history: history.New()}
	s.Workload = history.Workload{Seed: seed, List: fmt.Sprintf("run%d@lists.example.org", seed), Hashes: 8, Shared: 3, Calls: 180, Timeout: time.Second}
	for range 3 {
		dir := ""
		if journals {
			dir = tempJournal(t)
		}
		s.hosts = append(s.hosts, startHost(t, o, dir))
	}
	return s
}

// run makes all calls while faults come and go, and checks the answers.
func (s *schedule) run(t *testing.T) (v *history.Violation, calls int) {
	t.Helper()
	h := s.history
	ctx, cancel := context.WithCancel(t.Context())
	var clients, chaos sync.WaitGroup
	record := func(client int) registry.Registry {
		on := s.hosts[client%len(s.hosts)]
		return h.Record(on, on.now)
	}
	for client := range historyClients {
		clients.Go(func() { s.Run(ctx, client, record(client)) })
	}
	chaos.Go(func() {
		for r := s.rand(1); ctx.Err() == nil && len(s.hostFaults) > 0; pause(r) {
			s.hostFaults[r.IntN(len(s.hostFaults))](s.hosts[r.IntN(len(s.hosts))], r)
		}
	})
	chaos.Go(func() {
		for r := s.rand(0); ctx.Err() == nil && len(s.faults) > 0; pause(r) {
			if err := s.faults[r.IntN(len(s.faults))](r); err != nil {
				t.Error(err)
				return
			}
		}
	})
	clients.Wait()
	cancel()
	chaos.Wait()
	s.drain(t)
	h.Drained()
	s.finish(t, record(0))
	v, err := h.Check(0, time.Minute)
	must(t, err)
	return v, h.Len()
}

// rand returns the dice of one of the sequences of faults.
func (s *schedule) rand(sequence uint64) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, sequence)) }

func pause(r *rand.Rand) { time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond) }

// drain waits until the hosts' journals are replayed.
func (s *schedule) drain(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); slices.ContainsFunc(s.hosts, (*host).journalled); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a journal is not replayed")
		}
	}
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
	t.Logf("%d schedules, %d calls: each history keeps the promise", n, calls)
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
	runSchedules(t, 12, 1, func(t *testing.T, seed uint64) *schedule { return onOneServer(t, seed, s, false) })
}

func onOneServer(t *testing.T, seed uint64, s *redistest.Server, journals bool) *schedule {
	run := newSchedule(t, seed, redisreg.Options{URL: "redis://" + s.Addr(), Timeout: 200 * time.Millisecond}, journals)
	run.Lookups = true
	run.faults = []fault{kill(s), stall(300*time.Millisecond, s), forget(s)}
	return run
}

// TestHistoriesOfRestartedHostsAreLinearizable has hosts that journal what the
// server does not answer, and that are restarted with their journals.
func TestHistoriesOfRestartedHostsAreLinearizable(t *testing.T) {
	t.Parallel()
	s := server(t, "--appendonly", "yes", "--appendfsync", "always")
	runSchedules(t, 6, 1, func(t *testing.T, seed uint64) *schedule {
		run := onOneServer(t, seed, s, true)
		run.restartHosts(t)
		return run
	})
}

// restartHosts adds restarts of the hosts to what happens to them, as often as
// two of the other faults.
func (s *schedule) restartHosts(t *testing.T) {
	restart := func(h *host, r *rand.Rand) {
		if err := h.restart(outage(r) / 10); err != nil {
			t.Error(err)
		}
	}
	s.hostFaults = slices.Concat(s.hostFaults, []hostFault{restart, restart})
}

// journalsIn reports whether the hosts of a schedule under Sentinels or on a
// Cluster have journals and are restarted with them.
func journalsIn(seed uint64) bool { return seed%2 == 0 }

// failOver kills or stops the primary, and brings it back when another server
// is in its place.
func failOver(g *redistest.Group) fault {
	return func(r *rand.Rand) error {
		old, err := g.Replicated()
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
		old, err := g.Replicated()
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
		run := newSchedule(t, seed, redisreg.Options{URL: sentinelURL(g), Timeout: 300 * time.Millisecond}, false)
		run.hostFaults = nil
		run.Calls = 1000 // so that they last until the primary is alone
		run.faults = []fault{surprise(g)}
		if v, _ := run.run(t); v != nil {
			t.Logf("found with seed %d:\n%s", seed, v)
			return
		}
	}
	t.Error("10 histories show nothing of it")
}

// A losing is a fault of a group under Sentinels whose hosts wait for no
// replicas. Changes may be lost from before the fault until every server has the
// same, and at no other time.
type losing struct {
	*schedule
	group   *redistest.Group
	primary *redistest.Server // at the end of the last fault
}

// in returns the fault, and behind it a while in which nothing may be lost.
func (l *losing) in(f fault) fault {
	return func(r *rand.Rand) error {
		over := l.history.Losing()
		err := l.lose(f, r)
		over()
		time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
		return err
	}
}

func (l *losing) lose(f fault, r *rand.Rand) error {
	before, err := l.group.Synced()
	if err != nil {
		return err
	}
	if l.primary != nil && before != l.primary {
		return errUnasked
	}
	if err := f(r); err != nil {
		return err
	}
	l.primary, err = l.group.Synced()
	return err
}

// errUnasked ends a schedule in which the machine stood still for so long that
// the Sentinels chose another primary.
var errUnasked = errors.New("a failover came by itself, so nobody knows when changes were lost: run the schedule again")

// TestHistoriesWithoutMinReplicasLoseChangesInFailoversAlone checks the weaker
// promise: what a failover can lose is lost, and nothing else goes wrong.
func TestHistoriesWithoutMinReplicasLoseChangesInFailoversAlone(t *testing.T) {
	t.Parallel()
	g := group(t, redistest.StartSentinel)
	runSchedules(t, 2, 10, func(t *testing.T, seed uint64) *schedule {
		run := newSchedule(t, seed, redisreg.Options{URL: sentinelURL(g), Timeout: 300 * time.Millisecond}, false)
		run.Calls = 1000 // so that most are at another time
		l := &losing{schedule: run, group: g}
		run.faults = []fault{l.in(failOver(g)), l.in(surprise(g)), l.in(surprise(g)), l.in(stall(time.Second, g.Servers...))}
		return run
	})
}

func TestHistoriesUnderSentinelsAreLinearizable(t *testing.T) {
	t.Parallel()
	g := group(t, redistest.StartSentinel)
	runSchedules(t, 3, 10, func(t *testing.T, seed uint64) *schedule {
		run := newSchedule(t, seed, redisreg.Options{URL: sentinelURL(g), Timeout: 300 * time.Millisecond, MinReplicas: 2}, journalsIn(seed))
		if journalsIn(seed) {
			run.restartHosts(t)
		}
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
		run := newSchedule(t, seed, redisreg.Options{URL: clusterURL(g), Timeout: time.Second, MinReplicas: 1}, journalsIn(seed))
		if journalsIn(seed) {
			run.restartHosts(t)
		}
		run.faults = []fault{failNode(g), reshard(g), stall(time.Second, g.Servers...)}
		return run
	})
}
