package boltreg_test

import (
	"path/filepath"
	"testing"

	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/registrytest"
)

func open(t testing.TB) registry.Store {
	t.Helper()
	s, err := boltreg.Open(filepath.Join(t.TempDir(), "permalinks.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSuite(t *testing.T) {
	registrytest.Run(t, func(t *testing.T) registry.Store { return open(t) })
}

func BenchmarkReserveBesideASweep(b *testing.B) { registrytest.SweepBench(b, open(b), 10000) }
