package main

import (
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

// newPolicy turns the configuration into the milter's policy. What is wrong
// with it goes to problems, by its key.
func newPolicy(c *config.Config, problems *config.Problems) *milter.Policy {
	p := milter.Policy{Emit: c.Header.Emit, Remove: c.Header.Remove, Identity: c.Header.Identity,
		HashUnmatched: c.Header.Unmatched == "hash", Hostname: c.Hostname}
	var err error
	p.Algorithm, err = hashheader.ParseAlgorithm(c.Header.Algorithm)
	if err == nil {
		err = p.Algorithm.Allowed()
	}
	problems.Add("header.algorithm", err)
	p.Missing, err = milter.ParseMissingMode(c.Header.MissingMessageID)
	problems.Add("header.missing_message_id", err)
	p.OnFailure, err = milter.ParseFailureMode(c.Registry.OnFailure)
	problems.Add("registry.on_failure", err)
	checkEach(problems, "header.emit", p.Emit, checkEmitted)
	checkEach(problems, "header.remove", p.Remove, hashheader.CheckFieldName)
	checkEach(problems, "header.identity", p.Identity, checkIdentityField)
	for i, a := range c.Archives {
		p.Archives = append(p.Archives, newArchive(a, p.Algorithm, fmt.Sprintf("archive[%d]", i), problems))
	}
	if problems.Err() != nil {
		return nil
	}
	policy, err := milter.NewPolicy(p)
	problems.Add("", err)
	return policy
}

func checkEach(problems *config.Problems, key string, values []string, check func(string) error) {
	for i, v := range values {
		problems.Add(fmt.Sprintf("%s[%d]", key, i), check(v))
	}
}

func checkEmitted(name string) error {
	if err := hashheader.CheckEmittedName(name); err != nil {
		return err
	}
	a, _ := hashheader.FieldAlgorithm(name)
	return a.Allowed()
}

func checkIdentityField(name string) error {
	if slices.Contains(hashheader.IdentityFields, name) {
		return nil
	}
	return fmt.Errorf("%.80q: write some of %s", name, strings.Join(hashheader.IdentityFields, " "))
}

// newArchive returns the archive of one table [[archive]], which key names.
func newArchive(a config.Archive, algorithm hashheader.Algorithm, key string, problems *config.Problems) milter.ArchivePolicy {
	url, err := hashheader.ParseTemplate(a.URL)
	if err == nil {
		_, err = url.Expand(hashheader.Permalink{List: "list@host.example", Algorithm: algorithm})
	}
	problems.Add(key+".url", err)
	if a.List != "" {
		_, err := registry.CheckList(a.List)
		problems.Add(key+".list", err)
	}
	return milter.ArchivePolicy{Name: a.Name, Lists: a.Lists, List: a.List, URL: url, Share: a.OnCollision == "share"}
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
