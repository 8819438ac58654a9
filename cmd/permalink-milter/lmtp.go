package main

import (
	"fmt"
	"time"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry/lmtp"
	"permalink-milter/registry/stamp"
)

// openLMTP opens the service for archivers that negotiate permalinks.
func openLMTP(d *daemon, policy *stamp.Policy) (service, error) {
	c := d.config.LMTP
	if c.Listen == "" {
		return service{}, nil
	}
	domains, err := lmtpDomains(c.Domains, policy.Archives)
	if err != nil {
		return service{}, err
	}
	server, err := lmtp.NewServer(lmtp.Options{Domains: domains, Registry: d.registry, Identity: policy.Identity, Hostname: c.Hostname, Log: d.log,
		MaxMessage: int64(c.MaxMessage), MaxRecipients: c.MaxRecipients,
		Timeout: time.Duration(c.Timeout), RegistryTimeout: time.Duration(d.config.Registry.Timeout)})
	if err != nil {
		return service{}, err
	}
	listeners, err := d.listen("lmtp", c.MaxConnections, server.DropIdlest, c.Listen)
	return service{"lmtp", listeners, server.Serve, server.Shutdown, nil}, err
}

// lmtpDomains returns the domains of a configuration, which load has checked.
func lmtpDomains(domains []config.Domain, archives []stamp.Archive) (out []lmtp.Domain, err error) {
	for _, d := range domains {
		delivery, err := lmtp.ParseDelivery(d.Deliver)
		if err != nil {
			return nil, err
		}
		archive, err := archiveOf(d.List, archives)
		if err != nil {
			return nil, err
		}
		out = append(out, lmtp.Domain{Name: d.Domain, List: d.List, URL: archive.URL, Delivery: delivery})
	}
	return out, nil
}

// archiveOf returns the first archive that holds a list.
func archiveOf(list string, archives []stamp.Archive) (*stamp.Archive, error) {
	list, err := hashheader.CheckList(list)
	if err != nil {
		return nil, err
	}
	for i := range archives {
		if archives[i].Holds(list) {
			return &archives[i], nil
		}
	}
	return nil, fmt.Errorf("%.80q: no archive holds this list: add it to the lists of one", list)
}

// checkDomain adds the problems of one table [[lmtp.domain]] that config cannot
// find.
func checkDomain(problems *config.Problems, key string, d config.Domain, archives []stamp.Archive) {
	archive, err := archiveOf(d.List, archives)
	if err == nil && archive.Share {
		err = fmt.Errorf("archive %q, which holds this list, has on_collision = \"share\", and LMTP gives each message a token of its own: write \"suffix\" there, or leave out this table", archive.Name)
	}
	problems.Add(key+".list", err)
	_, err = lmtp.ParseDelivery(d.Deliver)
	problems.Add(key+".deliver", err)
}
