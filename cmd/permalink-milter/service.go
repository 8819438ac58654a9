package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"permalink-milter/config"
	"permalink-milter/milter"
	"permalink-milter/registry/stamp"
)

// A service is one door of the daemon. One without listeners is off.
type service struct {
	name      string
	listeners []net.Listener
	serve     func(net.Listener) error // until shutdown; called once a listener
	shutdown  func(context.Context) error
	reload    func(*config.Config, *stamp.Policy) // may be nil
}

// doors open the services, in the order in which they are shut down: health
// is told until the end.
var doors = []func(*daemon, *stamp.Policy) (service, error){openMilter, openHTTP, openLMTP, openAdmin}

// openMilter opens the door for MTAs.
func openMilter(d *daemon, policy *stamp.Policy) (service, error) {
	c := d.config.Milter
	listeners, err := d.sockets.open("milter.listen", c.Listen...)
	server := milter.NewServer(milter.Options{
		Policy: policy, Reserve: d.metrics.countCollisions(d.registry.Reserve), Log: d.log, Observe: d.metrics,
		MaxConnections: c.MaxConnections, IdleTimeout: time.Duration(c.IdleTimeout),
		MessageBudget: time.Duration(c.MessageBudget), MaxHeaderFields: c.MaxHeaderFields, MaxHeaderBytes: int(c.MaxHeaderBytes),
	})
	reload := func(_ *config.Config, p *stamp.Policy) {
		next := *p
		next.OnFailure = policy.OnFailure // the guard's journal is open for this one
		server.SetPolicy(&next)
	}
	return service{"milter", listeners, server.Serve, server.Shutdown, reload}, err
}

// startAll serves every listener of the services. What ends one comes from the
// channel.
func startAll(services []service) <-chan error {
	n := 0
	for _, s := range services {
		n += len(s.listeners)
	}
	ended := make(chan error, n)
	for _, s := range services {
		for _, ln := range s.listeners {
			go func() { ended <- fmt.Errorf("%s on %s: %w", s.name, ln.Addr(), s.serve(ln)) }()
		}
	}
	return ended
}
