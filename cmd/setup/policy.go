// Package setup makes the parts of our packages that a configuration
// describes, for both programs. It may not run anything.
package setup

import (
	"fmt"
	"slices"
	"strings"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry/stamp"
)

// Policy turns the configuration into the milter's policy. What is wrong with
// it goes to problems, by its key; the policy is of use if nothing is.
func Policy(c *config.Config, problems *config.Problems) *stamp.Policy {
	p := stamp.Policy{Emit: c.Header.Emit, Remove: c.Header.Remove, Identity: c.Header.Identity,
		HashUnmatched: c.Header.Unmatched == "hash", Hostname: c.Hostname}
	var err error
	p.Algorithm, err = hashheader.ParseAlgorithm(c.Header.Algorithm)
	if err == nil {
		err = p.Algorithm.Allowed()
	}
	problems.Add("header.algorithm", err)
	p.Missing, err = stamp.ParseMissingMode(c.Header.MissingMessageID)
	problems.Add("header.missing_message_id", err)
	p.OnFailure, err = stamp.ParseFailureMode(c.Registry.OnFailure)
	problems.Add("registry.on_failure", err)
	CheckEach(problems, "header.emit", p.Emit, checkEmitted)
	CheckEach(problems, "header.remove", p.Remove, hashheader.CheckFieldName)
	CheckEach(problems, "header.identity", p.Identity, checkIdentityField)
	for i, a := range c.Archives {
		p.Archives = append(p.Archives, newArchive(a, p.Algorithm, fmt.Sprintf("archive[%d]", i), problems))
	}
	if problems.Err() != nil {
		return &p
	}
	policy, err := stamp.NewPolicy(p)
	if err != nil {
		problems.Add("", err)
		return &p
	}
	return policy
}

// CheckEach checks the values of a key that has several.
func CheckEach(problems *config.Problems, key string, values []string, check func(string) error) {
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
func newArchive(a config.Archive, algorithm hashheader.Algorithm, key string, problems *config.Problems) stamp.Archive {
	url, err := hashheader.ParseTemplate(a.URL)
	if err == nil {
		_, err = url.Expand(hashheader.Permalink{List: "list@host.example", Algorithm: algorithm})
	}
	problems.Add(key+".url", err)
	target, err := Target(a)
	problems.Add(key+".target", err)
	if a.List != "" {
		_, err := hashheader.CheckList(a.List)
		problems.Add(key+".list", err)
	}
	return stamp.Archive{Name: a.Name, Lists: a.Lists, List: a.List, Except: stamp.DefaultExcept(), URL: url, Target: target, Share: a.OnCollision == "share"}
}

// Target returns the template that the resolver follows, the zero Template for
// an archive without one.
func Target(a config.Archive) (hashheader.Template, error) {
	if a.Target == "" {
		return hashheader.Template{}, nil
	}
	return hashheader.ParseTemplate(a.Target)
}
