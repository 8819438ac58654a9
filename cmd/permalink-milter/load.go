package main

import (
	"fmt"

	"permalink-milter/cmd/setup"
	"permalink-milter/config"
	"permalink-milter/registry/stamp"
)

// load reads and checks the configuration; no file means the defaults. Its
// error tells all that is wrong.
func load(file string) (*config.Config, *stamp.Policy, error) {
	c, problems := config.Load(file)
	if c == nil {
		return nil, nil, problems.Err()
	}
	problems.Add("registry.url", checkRegistry(c))
	setup.CheckEach(problems, "http.trusted_proxies", c.HTTP.TrustedProxies, checkProxy)
	p := setup.Policy(c, problems)
	for i, d := range c.LMTP.Domains {
		checkDomain(problems, fmt.Sprintf("lmtp.domain[%d]", i), d, p.Archives)
	}
	return c, p, problems.Err()
}
