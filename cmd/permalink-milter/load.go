package main

import (
	"fmt"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/stamp"
)

// load reads and checks the configuration. Without a file it takes the
// defaults. Its error reports all problems.
func load(file string) (*config.Config, *stamp.Policy, error) {
	c, policy, problems := loadAll(file)
	if err := problems.Err(); err != nil {
		return nil, nil, err
	}
	return c, policy, nil
}

// loadAll is load that keeps what could be read of a configuration with problems.
// The policy is nil then.
func loadAll(file string) (*config.Config, *stamp.Policy, *config.Problems) {
	c, problems := setup.LoadConfig(file)
	if c == nil {
		return nil, nil, problems
	}
	setup.CheckStore(problems, c.Registry)
	archives := setup.Archives(c)
	for i, a := range archives {
		checkPatterns(problems, fmt.Sprintf("archive[%d]", i), a)
	}
	for i, d := range c.LMTP.Domains {
		checkDomain(problems, fmt.Sprintf("lmtp.domain[%d]", i), d, archives)
	}
	if problems.Err() != nil {
		return c, nil, problems
	}
	policy, err := setup.Policy(c)
	if err != nil {
		problems.Add("", err)
		return c, nil, problems
	}
	for i := range policy.Archives {
		problems.Add(fmt.Sprintf("archive[%d].url", i), httpapi.CheckArchive(c.HTTP.BaseURL, policy, &policy.Archives[i]))
	}
	return c, policy, problems
}
