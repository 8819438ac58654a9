// Package setup turns a configuration into the parts that it describes, for the
// daemon and the tool alike, so that both decide and store in the same way.
//
// # How to use it
//
// Load and check the configuration with package config first. Then [Policy]
// returns the policy of its archives and [OpenStore] opens the store of its
// registry. Neither serves or logs anything.
package setup

import (
	"fmt"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry/stamp"
)

// Policy returns the policy of a checked configuration.
func Policy(c *config.Config) (*stamp.Policy, error) {
	algorithm, err := hashheader.ParseAlgorithm(c.Header.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("header.algorithm: %w", err)
	}
	clients, err := listClients(c.Milter.ListFieldsFrom)
	if err != nil {
		return nil, fmt.Errorf("milter.list_fields_from: %w", err)
	}
	return stamp.NewPolicy(stamp.Policy{
		Algorithm:     algorithm,
		Emit:          c.Header.Emit,
		Remove:        c.Header.Remove,
		Missing:       stamp.MissingMode(c.Header.MissingMessageID),
		HashUnmatched: c.Header.Unmatched == "hash",
		Identity:      c.Header.Identity,
		Archives:      Archives(c),
		OnFailure:     stamp.FailureMode(c.Registry.OnFailure),
		Hostname:      c.Hostname,
		Observe:       c.Milter.Mode == "observe",

		ListFieldsFrom: clients,
	})
}

// listClients reads the clients that the configuration names.
func listClients(names []string) (out stamp.Clients, err error) {
	for _, name := range names {
		if name == config.Authenticated {
			out.Authenticated = true
			continue
		}
		prefix, err := config.Network(name).Prefix()
		if err != nil {
			return out, err
		}
		out.Networks = append(out.Networks, prefix)
	}
	return out, nil
}

// Archives returns the archives of a configuration. A template that config
// rejects is zero, so that the archives' lists can be checked all the same.
func Archives(c *config.Config) (out []stamp.Archive) {
	for _, a := range c.Archives {
		out = append(out, stamp.Archive{Name: a.Name, Lists: a.Lists, List: a.List, Except: a.Except,
			URL: template(a.URL), Target: template(a.Target), Share: a.OnCollision == "share"})
	}
	return out
}

// template returns the zero Template, which IsZero, for a text that is none.
func template(text string) hashheader.Template {
	t, err := hashheader.ParseTemplate(text)
	if err != nil {
		return hashheader.Template{}
	}
	return t
}
