package redisreg_test

import (
	"fmt"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
)

// go-redis leaves the commands of a pipeline without an error where the
// server refuses the connection's greeting: nothing may take that for success.
func TestNothingSucceedsWithAWrongPassword(t *testing.T) {
	t.Parallel()
	s := server(t)
	for _, minReplicas := range []int{0, 1} {
		t.Run(fmt.Sprint("min_replicas ", minReplicas), func(t *testing.T) {
			store := open(t, redisreg.Options{URL: "redis://" + s.Addr(), Username: "mail", Password: "wrong", MinReplicas: minReplicas, Timeout: time.Second})
			reg := registry.New(store, registry.Options{})
			r := numbered(1)
			if got, err := reg.Reserve(t.Context(), r); err == nil {
				t.Errorf("Reserve: %+v", got)
			}
			if got, err := reg.Lookup(t.Context(), r.List, r.Hash); err == nil {
				t.Errorf("Lookup: %+v", got)
			}
			var err error
			for _, err = range store.Scan(t.Context(), "") {
			}
			if err == nil {
				t.Error("Scan found an empty registry")
			}
			if _, err := store.Check(t.Context()); err == nil {
				t.Error("Check finds nothing wrong")
			}
		})
	}
}
