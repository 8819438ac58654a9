package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"permalink-milter/registry"
)

const (
	// sweepFirst is the longest wait for the first sweep; it differs, so that
	// hosts that start together do not sweep together.
	sweepFirst = 10 * time.Minute
	sweepEvery = 24 * time.Hour
	// sweepGrace is for the clocks of other hosts, and for a message that is
	// seen again late: it still finds its reservation.
	sweepGrace = 24 * time.Hour
	// sweepRate is far below what a store can do beside mail.
	sweepRate = 10000
)

// A sweptRegistry is a registry whose store is swept until it is closed.
type sweptRegistry struct {
	registry.Registry
	stop context.CancelFunc
	done chan struct{}
}

// swept has the expired reservations of a registry's store removed.
func (d *daemon) swept(reg registry.Registry, store registry.Store) registry.Registry {
	ctx, stop := context.WithCancel(context.Background())
	s := sweptRegistry{reg, stop, make(chan struct{})}
	go func() {
		defer close(s.done)
		sweepForEver(ctx, store, d.log, newSweptCounter(d.metrics.registry))
	}()
	return s
}

// Close ends the sweep, then closes the registry.
func (s sweptRegistry) Close() error {
	s.stop()
	<-s.done
	return s.Registry.Close()
}

func newSweptCounter(r prometheus.Registerer) prometheus.Counter {
	return maker{promauto.With(r)}.counter("swept_total", "Expired reservations that were removed from the registry.")
}

// sweepForEver sweeps a store now and then, until ctx ends.
func sweepForEver(ctx context.Context, store registry.Store, log *slog.Logger, count prometheus.Counter) {
	for wait := rand.N(sweepFirst); ; wait = sweepEvery {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		sweepOnce(ctx, store, log, count)
	}
}

func sweepOnce(ctx context.Context, store registry.Store, log *slog.Logger, count prometheus.Counter) {
	begin := time.Now()
	s := registry.Sweep{Expired: begin.Add(-sweepGrace), Rate: sweepRate, Removed: func(registry.Reservation) { count.Inc() }}
	swept, err := s.Run(ctx, store)
	attrs := []any{"removed", swept.Removed, "reservations", swept.Seen, "unreadable", swept.Unreadable, "took", time.Since(begin)}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		log.Warn("the sweep of expired reservations broke off, the next one goes on", append(attrs, "error", err)...)
	case swept.Unreadable > 0:
		log.Warn("expired reservations removed; some entries of the registry cannot be read", attrs...)
	case swept.Removed > 0:
		log.Info("expired reservations removed", attrs...)
	}
}
