package main

import (
	"fmt"
	"slices"
	"strings"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/milter"
	"permalink-milter/registry"
)

// load reads and checks the configuration; no file means the defaults. Its
// error tells all that is wrong.
func load(file string) (*config.Config, *milter.Policy, error) {
	c, problems := config.Load(file)
	if c == nil {
		return nil, nil, problems.Err()
	}
	problems.Add("registry.url", checkRegistry(c))
	checkEach(problems, "http.trusted_proxies", c.HTTP.TrustedProxies, checkProxy)
	p := newPolicy(c, problems)
	return c, p, problems.Err()
}

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
	for i, d := range c.LMTP.Domains {
		checkDomain(problems, fmt.Sprintf("lmtp.domain[%d]", i), d, p.Archives)
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
	_, err = parseTarget(a)
	problems.Add(key+".target", err)
	if a.List != "" {
		_, err := registry.CheckList(a.List)
		problems.Add(key+".list", err)
	}
	return milter.ArchivePolicy{Name: a.Name, Lists: a.Lists, List: a.List, URL: url, Share: a.OnCollision == "share"}
}
