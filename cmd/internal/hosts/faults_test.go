package hosts

import (
	"strings"
	"testing"
	"time"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry/redisreg/redistest"
	"permalink-milter/registry/registrytest/faultproxy"
)

// maxErrors bounds the lines at error level that one host logs in one row,
// beside those about conflicts: each outage is told once when it begins, and
// one that comes and goes once each time.
const maxErrors = 20

// A row is one fault of one topology.
type row struct {
	name      string
	start     func(*testing.T) *system
	onFailure string // stamp where empty
	// fault begins one and returns what mends it.
	fault func(*testing.T, *system) (mend func())
	// journals are the hosts that must journal; nil: any may.
	journals []int
	// crash kills the daemons while the fault lasts. Their metrics begin anew.
	crash bool
}

var (
	neither = []int{}
	first   = []int{0}
	both    = []int{0, 1}
)

var rows = []row{
	{name: "nothing fails", start: alone, fault: noFault},
	{name: "Redis restarted", start: alone, fault: restarted, journals: both},
	{name: "Redis killed -9", start: alone, fault: killed, journals: both},
	{name: "Redis killed -9, then the daemons", start: alone, fault: killed, journals: both, crash: true},
	{name: "DEBUG SLEEP 2", start: alone, fault: command("debug", "sleep", "2"), journals: both},
	{name: "CLIENT PAUSE 2000", start: alone, fault: command("client", "pause", "2000", "all"), journals: both},
	{name: "connections cut all the time", start: alone, fault: cut},
	{name: "connections cut in mid-reply", start: alone, fault: mode(faultproxy.CutAfter(700))},
	{name: "each packet 20 ms late", start: alone, fault: mode(faultproxy.Delay(20 * time.Millisecond))},
	{name: "each packet 400 ms late", start: alone, fault: mode(faultproxy.Delay(400 * time.Millisecond)), journals: both},
	{name: "black-holed", start: alone, fault: mode(faultproxy.BlackHole), journals: both},
	{name: "black-holed for one host", start: alone, fault: oneHost(faultproxy.BlackHole), journals: first},
	{name: "Redis killed -9, tempfail", start: alone, onFailure: "tempfail", fault: killed, journals: neither},
	{name: "Redis killed -9, accept", start: alone, onFailure: "accept", fault: killed, journals: neither},
	{name: "Sentinel failover", start: sentinels, fault: failover, journals: both},
	{name: "Cluster primary killed", start: cluster, fault: primaryKilled, journals: both},
}

// A system is the registry of a row.
type system struct {
	url         string   // straight to the servers
	urls        []string // for each host
	minReplicas int
	server      *redistest.Server
	proxies     []*faultproxy.Proxy // one for each host
	group       *redistest.Group
}

// alone is one server with AOF on, and a proxy for each host. It is synced
// with each write: by the second, a kill in mid-sync can lose what it
// acknowledged.
func alone(t *testing.T) *system {
	need.Program(t, "redis-server", "redis-server redis-tools")
	server, err := redistest.Start(t.TempDir(), "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "yes")
	must(t, err)
	t.Cleanup(server.Stop)
	s := &system{server: server, url: "redis://" + server.Addr()}
	for range 2 {
		p, err := faultproxy.Start(t.Context(), server.Addr())
		must(t, err)
		s.proxies = append(s.proxies, p)
		s.urls = append(s.urls, "redis://"+p.Addr())
	}
	return s
}

func sentinels(t *testing.T) *system {
	need.Program(t, "redis-sentinel", "redis-server redis-sentinel redis-tools")
	g, err := redistest.StartSentinel(t.TempDir())
	must(t, err)
	t.Cleanup(g.Stop)
	url := "redis+sentinel://" + redistest.Addrs(g.Sentinels) + "/" + redistest.PrimaryName
	return &system{url: url, urls: []string{url, url}, minReplicas: 1, group: g}
}

func cluster(t *testing.T) *system {
	need.Program(t, "redis-server", "redis-server redis-tools")
	g, err := redistest.StartCluster(t.TempDir())
	must(t, err)
	t.Cleanup(g.Stop)
	url := "redis+cluster://" + redistest.Addrs(g.Servers)
	return &system{url: url, urls: []string{url, url}, minReplicas: 1, group: g}
}

func noFault(*testing.T, *system) func() { return func() {} }

func restarted(t *testing.T, s *system) func() {
	s.server.Stop()
	return func() { must(t, s.server.Restart()) }
}

func killed(t *testing.T, s *system) func() {
	s.server.Kill()
	return func() { must(t, s.server.Restart()) }
}

// command stalls the server by one of its own commands, until it answers
// again.
func command(args ...string) func(*testing.T, *system) func() {
	return func(t *testing.T, s *system) func() {
		ended := make(chan error, 1)
		go func() {
			_, err := s.server.CLI(args...)
			ended <- err
		}()
		return func() {
			must(t, <-ended)
			_, err := s.server.CLI("ping")
			must(t, err)
		}
	}
}

func mode(m faultproxy.Mode) func(*testing.T, *system) func() {
	return func(_ *testing.T, s *system) func() {
		for _, p := range s.proxies {
			p.Set(m)
		}
		return func() {
			for _, p := range s.proxies {
				p.Set(faultproxy.Pass)
			}
		}
	}
}

func oneHost(m faultproxy.Mode) func(*testing.T, *system) func() {
	return func(_ *testing.T, s *system) func() {
		s.proxies[0].Set(m)
		return func() { s.proxies[0].Set(faultproxy.Pass) }
	}
}

// cut resets all connections every few milliseconds.
func cut(t *testing.T, s *system) func() {
	end, ended := make(chan struct{}), make(chan int)
	go func() {
		connections := 0
		defer func() { ended <- connections }()
		for {
			for _, p := range s.proxies {
				connections += p.Cut()
			}
			select {
			case <-end:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() {
		close(end)
		if <-ended == 0 {
			t.Error("no connection was cut")
		}
	}
}

// failover kills the primary; it comes back when another one serves.
func failover(t *testing.T, s *system) func() {
	old, err := s.group.Primary()
	must(t, err)
	old.Kill()
	return func() {
		until(t, func() bool {
			now, err := s.group.Primary()
			return err == nil && now != old
		})
		must(t, old.Restart())
	}
}

// primaryKilled kills one of three; it comes back when its replica serves.
// Sooner, it would come back empty, for it has no persistence, and its replica
// would follow it in that.
func primaryKilled(t *testing.T, s *system) func() {
	s.group.Servers[0].Kill()
	return func() {
		until(t, func() bool {
			nodes, err := s.group.Servers[1].CLI("cluster", "nodes")
			serving := 0
			for line := range strings.Lines(nodes) {
				if strings.Contains(line, "master") && !strings.Contains(line, "fail") {
					serving++
				}
			}
			return err == nil && serving == 3 && strings.Contains(nodes, "master,fail")
		})
		must(t, s.group.Servers[0].Restart())
		must(t, s.group.Settled())
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for ctx := limit(t); !done(); time.Sleep(50 * time.Millisecond) {
		must(t, ctx.Err())
	}
}

// lastLines cuts a log to its end.
func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "")
}
