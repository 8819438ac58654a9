package main

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest/output"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

func TestTheDaemonSweepsDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log output.Buffer
		store := memreg.New()
		d := &daemon{log: slog.New(slog.NewTextHandler(&log, nil)), metrics: newMetrics()}
		reg := d.swept(registry.New(store, registry.Options{TTL: time.Hour}), store)
		defer reg.Close()
		token := func(n int) string {
			hash, err := hashheader.MD5.Hash([]byte{byte(n)})
			if err != nil {
				t.Fatal(err)
			}
			return hash
		}
		for n := range 3 {
			if _, err := reg.Reserve(t.Context(), registry.Request{List: "a@b.example", Hash: token(n)}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := reg.Confirm(t.Context(), registry.Confirmation{List: "a@b.example", Token: token(0), URL: "https://a.example/0"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(sweepGrace)
		synctest.Wait()
		if log.String() != "" || held(t, store) != 3 {
			t.Errorf("within the grace: %d held, log %q", held(t, store), log.String())
		}
		time.Sleep(sweepEvery + sweepFirst)
		synctest.Wait()
		if held(t, store) != 1 || !strings.Contains(log.String(), "expired reservations removed") || !strings.Contains(log.String(), "removed=2 reservations=3") {
			t.Errorf("%d held, log %q", held(t, store), log.String())
		}
		if n := sweptTotal(t, d.metrics.registry); n != 2 {
			t.Errorf("%v counted", n)
		}
	})
}

func sweptTotal(t *testing.T, g prometheus.Gatherer) float64 {
	t.Helper()
	families, err := g.Gather()
	for _, f := range families {
		if f.GetName() == "permalink_milter_swept_total" {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no such metric: %v", err)
	return 0
}

func held(t *testing.T, store registry.Store) (n int) {
	t.Helper()
	for _, err := range store.Scan(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// broken is a store whose scan yields an error.
type broken struct {
	registry.Store
	err error
}

func (b broken) Scan(context.Context, string) iter.Seq2[registry.Record, error] {
	return func(yield func(registry.Record, error) bool) { yield(registry.Record{}, b.err) }
}

func TestASweepThatFailsSaysSo(t *testing.T) {
	for want, err := range map[string]error{"broke off": registry.ErrUnavailable, "cannot be read": errors.Join(registry.ErrUnavailable, registry.ErrCorrupt)} {
		var log output.Buffer
		metrics := prometheus.NewRegistry()
		count := newSweptCounter(metrics)
		sweepOnce(t.Context(), broken{memreg.New(), err}, slog.New(slog.NewTextHandler(&log, nil)), count)
		if !strings.Contains(log.String(), want) || sweptTotal(t, metrics) != 0 {
			t.Errorf("%v: log %q", err, log.String())
		}
	}
}
