package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"permalink-milter/config"
	"permalink-milter/milter"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/guard"
	"permalink-milter/registry/memreg"
)

// stores has the function that opens the store of each scheme of
// registry.url.
var stores = map[string]func(*config.Config) (registry.Store, error){
	"bolt":   openBolt,
	"memory": func(*config.Config) (registry.Store, error) { return memreg.New(), nil },
}

// checkRegistryURL returns an error for a URL of no store.
func checkRegistryURL(url string) error {
	scheme, rest, _ := strings.Cut(url, ":")
	switch {
	case stores[scheme] == nil:
		return fmt.Errorf("%q: unknown scheme: write one of %s, as bolt:permalinks.db",
			config.MaskURL(url), strings.Join(slices.Sorted(maps.Keys(stores)), " "))
	case scheme == "bolt" && rest == "":
		return errors.New("no file: write one, as bolt:permalinks.db")
	}
	return nil
}

// openGuarded opens the registry and puts the guard before it.
func (d *daemon) openGuarded(onFailure milter.FailureMode) (registry.Registry, error) {
	inner, err := openRegistry(d.config)
	if err != nil {
		return nil, err
	}
	c := d.config.Registry
	g, err := guard.New(inner, guard.Options{
		Dir: filepath.Join(d.config.StateDir, "journal"), Stamp: onFailure == milter.FailureStamp, Timeout: time.Duration(c.Timeout),
		JournalMaxBytes: int64(c.JournalMaxBytes), Log: d.log, Observe: newGuardMetrics(d.metrics.registry)})
	if err != nil {
		return nil, errors.Join(err, inner.Close())
	}
	return g, nil
}

// openRegistry opens what registry.url names.
func openRegistry(c *config.Config) (registry.Registry, error) {
	scheme, _, _ := strings.Cut(c.Registry.URL, ":")
	store, err := stores[scheme](c)
	if err != nil {
		return nil, err
	}
	return registry.New(store, registry.Options{TTL: time.Duration(c.Registry.ReservationTTL)}), nil
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
