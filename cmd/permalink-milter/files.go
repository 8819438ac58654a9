package main

import (
	"runtime"
	"syscall"

	"permalink-milter/config"
)

// What the daemon may have open besides its connections.
const (
	ownFiles     = 100 // listeners and a connection that waits at each, the registry's file, the journal, what a reload reads
	maildirFiles = 6   // for each [[lmtp.domain]]
	redisFiles   = 20  // for each processor
)

// A demand is what the connections of a service may have open.
type demand struct {
	service     string
	connections int
	files       int // of one connection
}

// demands returns those of the services beside the milter. An LMTP connection
// holds the message as it came, and the file or the next hop that it goes to.
func demands(c *config.Config) (all []demand) {
	add := func(listen config.Address, d demand) {
		if listen != "" {
			all = append(all, d)
		}
	}
	add(c.HTTP.Listen, demand{"http", c.HTTP.MaxConnections, 1})
	add(c.LMTP.Listen, demand{"lmtp", c.LMTP.MaxConnections, 4})
	add(c.Admin.Listen, demand{"admin", maxAdminConnections, 1})
	return append(all, demand{"control", maxControlConnections, 1})
}

// fit returns the bounds on connections that must be lower than the services
// ask for, so that no more than a number of files are open at once: first those
// of the services beside the milter, so that strangers never use what MTAs need.
// Needed is how many files would do for all.
func fit(files, milter int, others []demand) (lowered map[string]int, needed int) {
	wanted, least := 0, 0
	for _, d := range others {
		wanted += d.connections * d.files
		least += d.files
	}
	needed = milter + wanted
	if needed <= files {
		return nil, needed
	}
	lowered = make(map[string]int)
	if files-least < milter {
		milter = max(1, files-least)
		lowered["milter"] = milter
	}
	for _, d := range others {
		lowered[d.service] = 1 + (d.connections-1)*max(0, files-milter-least)/wanted
	}
	return lowered, needed
}

// lowerBounds warns of bounds on connections that exceed the limit of open files
// (RLIMIT_NOFILE) and returns those that count in their place, by service.
func (d *daemon) lowerBounds() map[string]int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return nil // it does not fail for a resource that exists
	}
	own := ownFiles + maildirFiles*len(d.config.LMTP.Domains)
	if kind, _ := config.StoreKind(d.config.Registry.URL); kind == config.Redis {
		own += redisFiles * runtime.GOMAXPROCS(0)
	}
	files := int(min(uint64(limit.Cur), 1<<30))
	lowered, needed := fit(files-own, d.config.Milter.MaxConnections, demands(d.config))
	if len(lowered) > 0 {
		d.log.Warn("the limit of open files is too low for all connections, fewer are served; raise it",
			"limit", files, "needed", own+needed, "max_connections", lowered)
	}
	return lowered
}
