package boltreg_test

import (
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/boltreg/filecheck"
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

func TestAnUnreadableEntryHidesNoOther(t *testing.T) {
	name := filepath.Join(t.TempDir(), "permalinks.db")
	store, err := boltreg.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	registrytest.Unreadable(t, store, func(store registry.Store, k registry.Key) registry.Store {
		spoil(t, store, name, k)
		again, err := boltreg.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { again.Close() })
		return again
	})
}

// spoil closes a store and writes an entry into its file as a newer version may.
func spoil(t *testing.T, store registry.Store, name string, k registry.Key) {
	t.Helper()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(name, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte(filecheck.EntriesBucket)).Put([]byte(k.List+"\x00"+k.Hash), []byte("\x09newer"))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkReserveBesideASweep(b *testing.B) { registrytest.SweepBench(b, open(b), 10000) }
