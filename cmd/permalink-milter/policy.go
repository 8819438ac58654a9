package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/milter"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/guard"
	"permalink-milter/registry/memreg"
)

// newPolicy turns the configuration into the milter's policy, and returns all
// that is wrong with it.
func newPolicy(c *config.Config) (*milter.Policy, error) {
	p := milter.Policy{Emit: c.Header.Emit, Remove: c.Header.Remove, Identity: c.Header.Identity,
		HashUnmatched: c.Header.Unmatched == "hash", Hostname: c.Hostname}
	var errs [3]error
	p.Algorithm, errs[0] = hashheader.ParseAlgorithm(c.Header.Algorithm)
	p.Missing, errs[1] = milter.ParseMissingMode(c.Header.MissingMessageID)
	p.OnFailure, errs[2] = milter.ParseFailureMode(c.Registry.OnFailure)
	err := errors.Join(errs[:]...)
	if !slices.Contains([]string{"hash", "skip"}, c.Header.Unmatched) {
		err = errors.Join(err, fmt.Errorf("header.unmatched = %q: write hash or skip", c.Header.Unmatched))
	}
	for _, field := range c.Header.Identity {
		if !slices.Contains(hashheader.IdentityFields, field) {
			err = errors.Join(err, fmt.Errorf("header.identity: %q: write some of %s", field, strings.Join(hashheader.IdentityFields, " ")))
		}
	}
	if m := c.Milter; min(m.MaxConnections, m.MaxHeaderFields, m.MaxHeaderBytes, int(m.IdleTimeout), int(m.MessageBudget), int(c.Registry.Timeout)) <= 0 {
		err = errors.Join(err, errors.New("[milter] limits and timeouts, and registry.timeout: write values above zero"))
	}
	for i, a := range c.Archives {
		archive, bad := newArchive(a)
		if bad != nil {
			err = errors.Join(err, fmt.Errorf("archive %d (%q): %w", i+1, a.Name, bad))
		}
		p.Archives = append(p.Archives, archive)
	}
	if err != nil {
		return nil, err
	}
	return milter.NewPolicy(p)
}

func newArchive(a config.Archive) (milter.ArchivePolicy, error) {
	url, err := hashheader.ParseTemplate(a.URL)
	if a.Name == "" {
		err = errors.Join(err, errors.New("name: write one, for the log"))
	}
	if len(a.Lists) == 0 && a.List == "" {
		err = errors.Join(err, errors.New(`lists: write patterns, as ["*@lists.example.org"]`))
	}
	for _, pattern := range a.Lists {
		if _, bad := filepath.Match(pattern, ""); bad != nil {
			err = errors.Join(err, fmt.Errorf("lists: %q: %w", pattern, bad))
		}
	}
	if a.List != "" {
		_, bad := registry.CheckList(a.List)
		err = errors.Join(err, bad)
	}
	if !slices.Contains([]string{"", "suffix", "share"}, a.OnCollision) {
		err = errors.Join(err, fmt.Errorf("on_collision = %q: write suffix or share", a.OnCollision))
	}
	return milter.ArchivePolicy{Name: a.Name, Lists: a.Lists, List: a.List, URL: url, Share: a.OnCollision == "share"}, err
}

// openGuarded opens the registry and puts the guard before it.
func openGuarded(c *config.Config, onFailure milter.FailureMode, log *slog.Logger) (registry.Registry, error) {
	inner, err := openRegistry(c)
	if err != nil {
		return nil, err
	}
	g, err := guard.New(inner, guard.Options{Dir: filepath.Join(c.StateDir, "journal"), Stamp: onFailure == milter.FailureStamp,
		Timeout: time.Duration(c.Registry.Timeout), Log: log})
	if err != nil {
		inner.Close()
		return nil, err
	}
	return g, nil
}

// openRegistry opens what registry.url names.
func openRegistry(c *config.Config) (registry.Registry, error) {
	o := registry.Options{TTL: time.Duration(c.Registry.ReservationTTL)}
	scheme, file, _ := strings.Cut(c.Registry.URL, ":")
	switch {
	case scheme == "memory":
		return registry.New(memreg.New(), o), nil
	case scheme != "bolt" || file == "":
		return nil, fmt.Errorf("registry.url = %q: write bolt:FILE, or memory: to try things out", c.Registry.URL)
	case !filepath.IsAbs(file):
		file = filepath.Join(c.StateDir, file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	store, err := boltreg.Open(file)
	if err != nil {
		return nil, err
	}
	return registry.New(store, o), nil
}
