package redisreg_test

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
	"permalink-milter/registry/registrytest"
)

func TestMain(m *testing.M) {
	redisreg.LogTo(slog.New(slog.DiscardHandler))
	// A pool that dialled in vain looks a second later whether it is closed.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// server starts a redis-server for one test.
func server(t testing.TB, args ...string) *redistest.Server {
	t.Helper()
	need.Program(t, "redis-server", "redis-server redis-tools")
	s, err := redistest.Start(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

func open(t testing.TB, o redisreg.Options) *redisreg.Store {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.KeyPrefix == "" {
		o.KeyPrefix = "permalink:"
	}
	s, err := redisreg.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// runSuite gives each test of the suite a key prefix of its own.
func runSuite(t *testing.T, o redisreg.Options) {
	var n atomic.Int32
	registrytest.Run(t, func(t *testing.T) registry.Store {
		o := o
		o.KeyPrefix = fmt.Sprintf("test%d:", n.Add(1))
		return open(t, o)
	})
}

func TestSuiteOnOneServer(t *testing.T) {
	t.Parallel()
	runSuite(t, redisreg.Options{URL: "redis://" + server(t).Addr() + "/3"})
}
