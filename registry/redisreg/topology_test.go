package redisreg_test

import (
	"testing"

	"permalink-milter/registry/redisreg"
	redistest "permalink-milter/testdata/redis"
)

func sentinels(t *testing.T) *redistest.Group {
	t.Helper()
	g, err := redistest.StartSentinel(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Stop)
	return g
}

func cluster(t *testing.T) *redistest.Group {
	t.Helper()
	g, err := redistest.StartCluster(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
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
	runSuite(t, redisreg.Options{URL: sentinelURL(sentinels(t)), MinReplicas: 2})
}

func TestSuiteOnACluster(t *testing.T) {
	t.Parallel()
	runSuite(t, redisreg.Options{URL: clusterURL(cluster(t))})
}
