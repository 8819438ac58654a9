package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"permalink-milter/cmd/setup"
	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/guard"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/stamp"
)

// stores has the function that opens the store of each scheme of
// registry.url.
var stores = map[string]func(*config.Config) (registry.Store, error){
	"bolt":   openBolt,
	"memory": func(*config.Config) (registry.Store, error) { return memreg.New(), nil },

	"redis": openRedis, "rediss": openRedis, "unix": openRedis,
	"redis+sentinel": openRedis, "rediss+sentinel": openRedis,
	"redis+cluster": openRedis, "rediss+cluster": openRedis,
}

// checkRegistry returns an error for a URL of no store. It opens nothing.
func checkRegistry(c *config.Config) error {
	scheme, rest, _ := strings.Cut(c.Registry.URL, ":")
	switch {
	case stores[scheme] == nil:
		return fmt.Errorf("%q: unknown scheme: write one of %s, as bolt:permalinks.db",
			config.MaskURL(c.Registry.URL), strings.Join(slices.Sorted(maps.Keys(stores)), " "))
	case scheme == "bolt" && rest == "":
		return errors.New("no file: write one, as bolt:permalinks.db")
	case scheme == "bolt", scheme == "memory":
		return nil
	}
	store, err := openRedis(c)
	if err != nil {
		return err
	}
	return store.Close()
}

// openGuarded opens the registry and puts the guard before it.
func (d *daemon) openGuarded(ctx context.Context, onFailure stamp.FailureMode) (registry.Registry, error) {
	redisreg.LogTo(d.log)
	scheme, _, _ := strings.Cut(d.config.Registry.URL, ":")
	store, err := stores[scheme](d.config)
	if err != nil {
		return nil, err
	}
	if err := d.examine(ctx, store); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	c := d.config.Registry
	inner := registry.New(store, registry.Options{TTL: time.Duration(c.ReservationTTL)})
	g, err := guard.New(inner, guard.Options{
		Dir: filepath.Join(d.config.StateDir, "journal"), Stamp: onFailure == stamp.FailureStamp, Timeout: time.Duration(c.Timeout),
		JournalMaxBytes: int64(c.JournalMaxBytes), Log: d.log, Observe: newGuardMetrics(d.metrics.registry)})
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return g, nil
}

// examine logs what is odd about the servers of a store. Its error is one of
// their configuration: a server that does not answer yet may do so later.
func (d *daemon) examine(ctx context.Context, store registry.Store) error {
	servers, ok := store.(*redisreg.Store)
	if !ok {
		return nil
	}
	warnings, err := servers.Check(ctx)
	for _, w := range warnings {
		d.log.Warn("registry", "warning", w)
	}
	if errors.Is(err, registry.ErrUnavailable) {
		d.log.Warn("the registry does not answer yet; registry.on_failure says what mail gets meanwhile", "error", err)
		return nil
	}
	if err != nil {
		return &exitError{exitConfig, fmt.Errorf("registry.url: %w", err)}
	}
	return nil
}

// openRedis opens what the Redis forms of registry.url name.
func openRedis(c *config.Config) (registry.Store, error) {
	return setup.Redis(c.Registry.URL, c.Registry, time.Duration(c.Registry.Timeout))
}

// openBolt opens the file of the embedded registry. A relative one is in the
// state directory.
func openBolt(c *config.Config) (registry.Store, error) {
	_, file, _ := strings.Cut(c.Registry.URL, ":")
	if !filepath.IsAbs(file) {
		file = filepath.Join(c.StateDir, file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	return boltreg.Open(file)
}
