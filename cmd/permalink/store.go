package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/boltreg/salvage"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/redisreg"
)

// A store is a registry as its URL names it: every verb that does not go
// through --api opens its registry here.
type store struct {
	url    string
	login  config.Registry // has the credentials
	daemon *httpapi.Client // that serves it; nil: it is opened by its URL
}

// locate returns the store that a URL names. A daemon that runs with it is asked
// for it: for the configuration's, the one in its state directory, and for a
// file, the one whose state directory it is in.
func locate(url string, c *config.Config) (store, error) {
	if kind, err := config.StoreKind(url); url != configured && (err != nil || kind == config.Memory) {
		return store{}, fmt.Errorf("--registry %q: write bolt:FILE, or a URL of Redis as in registry.url", config.MaskURL(url))
	}
	own := config.InStateDir(c.Registry.URL, c.StateDir)
	if url == configured {
		url = own
	}
	s := store{url: url, login: c.Registry}
	var dirs []string
	if url == own {
		dirs = append(dirs, c.StateDir)
	}
	if file, ok := strings.CutPrefix(url, "bolt:"); ok {
		dirs = append(dirs, filepath.Dir(file))
	}
	for _, dir := range slices.Compact(dirs) {
		daemon, err := daemonOf(dir, url)
		if err != nil || daemon != nil {
			s.daemon = daemon
			return s, err
		}
	}
	return s, nil
}

// open returns the registry. It creates a file only if create is set.
func (s store) open(create bool) (registry.Registry, error) {
	if s.daemon != nil {
		return s.daemon, nil
	}
	opened, err := s.openStore(create)
	if err != nil {
		return nil, err
	}
	return registry.New(opened, registry.Options{TTL: time.Duration(s.login.ReservationTTL)}), nil
}

// openStore returns the store itself, for what no registry does.
func (s store) openStore(create bool) (registry.Store, error) {
	if s.daemon != nil {
		return s.daemon.Store(), nil
	}
	return openStore(s.url, s.login, create)
}

// records yields the records of a store, and an error for each place that cannot
// be read. It reads even a damaged file, and does not write to it.
func (s store) records(ctx context.Context) iter.Seq2[registry.Record, error] {
	if file, ok := strings.CutPrefix(s.url, "bolt:"); ok && file != "" && s.daemon == nil {
		return salvage.Read(file)
	}
	return func(yield func(registry.Record, error) bool) {
		opened, err := s.openStore(false)
		if err != nil {
			yield(registry.Record{}, err)
			return
		}
		defer opened.Close()
		opened.Scan(ctx, "")(yield)
	}
}

// quietRedis keeps the client library from printing what the errors say, too.
var quietRedis = sync.OnceFunc(func() { redisreg.LogTo(slog.New(slog.DiscardHandler)) })

// openStore opens the store that a URL names. The configuration says how to log
// in to it. A file that does not exist is created only if create is set.
func openStore(url string, c config.Registry, create bool) (registry.Store, error) {
	kind, err := config.StoreKind(url)
	if err != nil {
		return nil, &exitError{exitConfig, err}
	}
	if kind == config.Memory {
		return nil, &exitError{exitConfig, errors.New("registry.url is memory: only a running permalink-milter can be asked for it")}
	}
	quietRedis()
	store, err := setup.OpenStore(url, c, answerTimeout, create)
	switch {
	case err == nil:
		return store, nil
	case errors.Is(err, boltreg.ErrInUse):
		return nil, &exitError{exitTemporary, fmt.Errorf("%w; if it is permalink-milter, name its configuration with --config, to ask the daemon", err)}
	case kind == config.Redis:
		return nil, &exitError{exitConfig, err}
	case errors.Is(err, fs.ErrNotExist):
		return nil, &exitError{exitFailed, fmt.Errorf("--registry %w", err)}
	}
	return nil, &exitError{exitFailed, fmt.Errorf("%w; 'permalink registry check' reports what is wrong with it", err)}
}
