package redisreg_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"permalink-milter/milter/mtatest/output"
	"permalink-milter/registry"
	"permalink-milter/registry/guard"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/registrytest/faultproxy"
)

// One message to many lists, with Redis at a distance, uses up its own time. The
// registry is well, and the next messages reserve there.
func TestAMessageToManyListsDoesNotOpenTheBreaker(t *testing.T) {
	t.Parallel()
	far, err := faultproxy.Start(t.Context(), server(t).Addr())
	must(t, err)
	t.Cleanup(func() { far.Close() })
	far.Set(faultproxy.Delay(3 * time.Millisecond)) // there and back
	var log output.Buffer
	store := open(t, redisreg.Options{URL: "redis://" + far.Addr()})
	g, err := guard.New(registry.New(store, registry.Options{}), guard.Options{Dir: t.TempDir(), Stamp: true, Timeout: 10 * time.Second,
		Log: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	t.Cleanup(func() { g.Close() })
	message, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	for n := range 1000 {
		// On a slow disk the journal may have no time either.
		_, _ = g.Reserve(message, registry.Request{List: fmt.Sprintf("list%d@lists.example.org", n), Hash: hash, Identity: identity})
	}
	if message.Err() == nil {
		t.Fatal("the message had time to spare, so nothing is shown")
	}
	r, err := g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity})
	must(t, err)
	if r.Outcome != registry.Fresh || strings.Contains(log.String(), "no longer waited for") {
		t.Errorf("the next message is %s\n%s", r.Outcome, log.String())
	}
}
