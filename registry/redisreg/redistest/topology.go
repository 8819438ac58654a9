package redistest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PrimaryName is the name of the primary at the Sentinels.
const PrimaryName = "mymaster"

// A Group is the servers of one topology.
type Group struct {
	// Servers are the redis-servers, primaries first at the start.
	Servers   []*Server
	Sentinels []*Server
}

// Stop kills all servers.
func (g *Group) Stop() {
	for _, s := range append(g.Sentinels, g.Servers...) {
		s.Kill()
	}
}

// Addrs returns the addresses of servers, separated by commas.
func Addrs(servers []*Server) string {
	var addrs []string
	for _, s := range servers {
		addrs = append(addrs, s.Addr())
	}
	return strings.Join(addrs, ",")
}

// StartSentinel starts a primary, two replicas and three Sentinels. These
// consider the primary down after two seconds; with less, a failover could
// happen on a busy machine.
func StartSentinel(dir string) (*Group, error) {
	g := &Group{}
	return g.started(g.startSentinel(dir))
}

// started stops the servers that have started if another one has not.
func (g *Group) started(err error) (*Group, error) {
	if err != nil {
		g.Stop()
		return nil, err
	}
	return g, nil
}

func (g *Group) startSentinel(dir string) (err error) {
	for i := range 3 {
		var follow []string
		if i > 0 {
			follow = []string{"--replicaof", "127.0.0.1 " + strconv.Itoa(g.Servers[0].Port)}
		}
		s, err := Start(filepath.Join(dir, fmt.Sprint("server", i)), append(follow, "--repl-diskless-sync-delay", "0")...)
		if err != nil {
			return err
		}
		g.Servers = append(g.Servers, s)
	}
	for i := range 3 {
		s, err := watch(filepath.Join(dir, fmt.Sprint("sentinel", i)), g.Servers[0])
		if err != nil {
			return err
		}
		g.Sentinels = append(g.Sentinels, s)
	}
	for _, s := range g.Sentinels {
		err = errors.Join(err, s.waitFor("num-other-sentinels\n2", "sentinel", "master", PrimaryName),
			s.waitFor("num-slaves\n2", "sentinel", "master", PrimaryName))
	}
	return errors.Join(err, g.Servers[0].waitFor("connected_slaves:2", "info", "replication"))
}

// watch starts a Sentinel.
func watch(dir string, primary *Server) (*Server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "sentinel.conf")
	text := fmt.Sprintf("bind 127.0.0.1\ndir %[1]s\nsentinel monitor %[2]s 127.0.0.1 %[3]d 2\n"+
		"sentinel down-after-milliseconds %[2]s 2000\nsentinel failover-timeout %[2]s 2000\n", dir, PrimaryName, primary.Port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return start("redis-sentinel", dir, []string{config})
}

// Primary asks the Sentinels which server is the primary.
func (g *Group) Primary() (*Server, error) {
	answer, err := g.Sentinels[0].CLI("sentinel", "get-master-addr-by-name", PrimaryName)
	if err != nil {
		return nil, err
	}
	for _, s := range g.Servers {
		if strings.Contains(answer, strconv.Itoa(s.Port)) {
			return s, nil
		}
	}
	return nil, fmt.Errorf("the Sentinels name an unknown primary: %s", answer)
}

// Replicated waits until both replicas of the primary have what it has, and
// returns the primary. A killed server comes back empty, and stays so until the
// Sentinels make it a replica, some ten seconds later: whoever kills the others
// before that destroys every copy.
func (g *Group) Replicated() (primary *Server, err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if primary, err = g.Primary(); err != nil {
			return nil, err
		}
		text, err := primary.CLI("info", "replication")
		if err == nil && strings.Contains(text, "role:master") && strings.Count(text, "state=online") == len(g.Servers)-1 {
			return primary, nil
		}
	}
	return nil, fmt.Errorf("the primary on port %d has too few replicas", primary.Port)
}

// Synced waits until every other server has what the primary has by then, and
// returns the primary.
func (g *Group) Synced() (primary *Server, err error) {
	if primary, err = g.Replicated(); err != nil {
		return nil, err
	}
	least := -1
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		text, err := primary.CLI("info", "replication")
		if err != nil {
			return nil, err
		}
		written, acknowledged := offsets(text)
		if least < 0 {
			least = written
		}
		if len(acknowledged) == len(g.Servers)-1 && slices.Min(acknowledged) >= least {
			return primary, nil
		}
	}
	return nil, fmt.Errorf("the replicas of the primary on port %d lag", primary.Port)
}

// offsets reads how far a primary has written, and what each replica has
// acknowledged of it, from INFO.
func offsets(info string) (written int, acknowledged []int) {
	for line := range strings.Lines(info) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "master_repl_offset" {
			written, _ = strconv.Atoi(value)
		}
		if _, rest, ok := strings.Cut(value, ",offset="); ok && strings.HasPrefix(name, "slave") {
			offset, _, _ := strings.Cut(rest, ",")
			n, _ := strconv.Atoi(offset)
			acknowledged = append(acknowledged, n)
		}
	}
	return written, acknowledged
}

// StartCluster starts three primaries with a replica each. A node counts as
// failed after two seconds.
func StartCluster(dir string) (*Group, error) {
	g := &Group{}
	return g.started(g.startCluster(dir))
}

func (g *Group) startCluster(dir string) error {
	for i := range 6 {
		s, err := Start(filepath.Join(dir, fmt.Sprint("node", i)), "--cluster-enabled", "yes",
			"--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
		if err != nil {
			return err
		}
		g.Servers = append(g.Servers, s)
	}
	create := append([]string{"--cluster", "create"}, strings.Split(Addrs(g.Servers), ",")...)
	if _, err := cli(append(create, "--cluster-replicas", "1", "--cluster-yes")...); err != nil {
		return err
	}
	return g.Settled()
}

// Primaries asks the running servers of a Cluster which of them are primaries.
func (g *Group) Primaries() (primaries []*Server, err error) {
	for _, s := range g.Servers {
		role, err := s.CLI("info", "replication")
		if err != nil {
			return nil, err
		}
		if strings.Contains(role, "role:master") {
			primaries = append(primaries, s)
		}
	}
	return primaries, nil
}

// Promoted waits until a replica has taken a dead primary's place. A primary
// without appendonly that comes back before that is empty, and its replica
// follows it in that.
func (g *Group) Promoted(dead *Server) error {
	others := Group{Servers: slices.DeleteFunc(slices.Clone(g.Servers), func(s *Server) bool { return s == dead })}
	var primaries []*Server
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if primaries, err = others.Primaries(); err == nil && len(primaries) == 3 {
			return nil
		}
	}
	return errors.Join(fmt.Errorf("%d primaries serve in place of 3", len(primaries)), err)
}

// Settled waits until each node of a Cluster sees all slots served by the same
// nodes and each replica is connected to its primary. Where a primary fails
// before its replica knows of a slot that has moved to it, nobody serves that
// slot again.
func (g *Group) Settled() error {
	for _, s := range g.Servers {
		if err := s.waitFor("cluster_state:ok", "cluster", "info"); err != nil {
			return err
		}
		role, err := s.CLI("info", "replication")
		if err != nil {
			return err
		}
		want := "connected_slaves:1"
		if strings.Contains(role, "role:slave") {
			want = "master_link_status:up"
		}
		if err := s.waitFor(want, "info", "replication"); err != nil {
			return err
		}
	}
	return g.agreed()
}

// agreed waits until the nodes of a Cluster agree on who serves which slot.
func (g *Group) agreed() (err error) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if _, err = cli("--cluster", "check", g.Servers[0].Addr()); err == nil {
			return nil
		}
	}
	return err
}

// Reshard moves slots between two primaries of a running Cluster.
func (g *Group) Reshard(from, to *Server, slots int) error {
	source, err := from.CLI("cluster", "myid")
	if err != nil {
		return err
	}
	target, err := to.CLI("cluster", "myid")
	if err != nil {
		return err
	}
	_, err = cli("--cluster", "reshard", from.Addr(), "--cluster-from", source, "--cluster-to", target,
		"--cluster-slots", strconv.Itoa(slots), "--cluster-yes")
	return err
}
