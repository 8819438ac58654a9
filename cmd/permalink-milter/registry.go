package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/guard"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/stamp"
)

// openGuarded opens the registry behind the guard that keeps mail flowing while
// the registry does not answer, and has what expired removed from it.
func (d *daemon) openGuarded(ctx context.Context, onFailure stamp.FailureMode) (registry.Registry, error) {
	redisreg.LogTo(d.log)
	c := d.config.Registry
	store, err := setup.OpenStore(config.InStateDir(c.URL, d.config.StateDir), c, time.Duration(c.Timeout), true)
	if err != nil {
		return nil, err
	}
	if err := d.examine(ctx, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	d.store = store
	inner := registry.New(store, registry.Options{TTL: time.Duration(c.ReservationTTL)})
	g, err := guard.New(inner, guard.Options{
		Dir: filepath.Join(d.config.StateDir, "journal"), Stamp: onFailure == stamp.FailureStamp, Timeout: time.Duration(c.Timeout),
		JournalMaxBytes: int64(c.JournalMaxBytes), Log: d.log, Observe: newGuardMetrics(d.metrics.registry)})
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	if c.ReservationTTL == 0 { // then nothing expires
		return g, nil
	}
	return d.swept(g, store), nil
}

// examine logs how the settings of Redis servers endanger reservations. It
// returns an error for settings that the daemon cannot work with, and none for a
// server that does not answer: it may do so later.
func (d *daemon) examine(ctx context.Context, store registry.Store) error {
	servers, ok := store.(*redisreg.Store)
	if !ok {
		return nil
	}
	d.redis = servers
	warnings, err := servers.Check(ctx)
	for _, w := range warnings {
		d.log.Warn("registry", "warning", w)
	}
	if errors.Is(err, registry.ErrUnavailable) {
		d.log.Warn("the registry does not answer yet; registry.on_failure says what mail gets meanwhile", "error", err)
		return nil
	}
	if err != nil {
		return &exitError{exitConfig, fmt.Errorf("registry: %w", err)}
	}
	return nil
}
