package redisreg_test

import (
	"testing"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
)

// group starts the servers of a topology.
func group(t *testing.T, start func(dir string) (*redistest.Group, error)) *redistest.Group {
	t.Helper()
	need.Program(t, "redis-sentinel", "redis-server redis-sentinel redis-tools")
	g, err := start(t.TempDir())
	must(t, err)
	t.Cleanup(g.Stop)
	return g
}

func sentinelURL(g *redistest.Group) string {
	return "redis+sentinel://" + redistest.Addrs(g.Sentinels) + "/" + redistest.PrimaryName
}

func clusterURL(g *redistest.Group) string {
	return "redis+cluster://" + redistest.Addrs(g.Servers)
}

func TestSuiteUnderSentinels(t *testing.T) {
	t.Parallel()
	runSuite(t, redisreg.Options{URL: sentinelURL(group(t, redistest.StartSentinel)), MinReplicas: 2})
}

func TestSuiteOnACluster(t *testing.T) {
	t.Parallel()
	runSuite(t, redisreg.Options{URL: clusterURL(group(t, redistest.StartCluster))})
}
