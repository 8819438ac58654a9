package main

import (
	"fmt"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/registry/stamp"
)

// load reads and checks the configuration. Without a file it takes the
// defaults. Its error reports all problems.
func load(file string) (*config.Config, *stamp.Policy, error) {
	c, problems := config.Load(file)
	if c == nil {
		return nil, nil, problems.Err()
	}
	setup.CheckStore(problems, c.Registry)
	archives := setup.Archives(c)
	for i, d := range c.LMTP.Domains {
		checkDomain(problems, fmt.Sprintf("lmtp.domain[%d]", i), d, archives)
	}
	if err := problems.Err(); err != nil {
		return nil, nil, err
	}
	policy, err := setup.Policy(c)
	return c, policy, err
}
