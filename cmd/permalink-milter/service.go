package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"permalink-milter/cmd/internal/door"
	"permalink-milter/config"
	"permalink-milter/milter"
	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// A service is one server of the daemon. A service without listeners is off.
type service struct {
	name      string
	listeners []net.Listener
	serve     func(net.Listener) error // serves a listener until shutdown
	shutdown  func(context.Context) error
	reload    func(*config.Config, *stamp.Policy) // may be nil
}

// openers open the services in this order, and shutdown goes back: health checks
// are answered from the beginning to the end, and an MTA finds the milter only
// once all other addresses could be opened.
var openers = []func(*daemon, *stamp.Policy) (service, error){openAdmin, openControl, openLMTP, openHTTP, openMilter}

// listen opens the addresses of a service and bounds its connections. MakeRoom
// ends idle ones while another waits.
func (d *daemon) listen(service string, max int, makeRoom func(), addresses ...config.Address) ([]net.Listener, error) {
	listeners, err := d.sockets.open(service+".listen", addresses...)
	if err != nil {
		return nil, err
	}
	return d.bound(service, max, makeRoom, listeners), nil
}

// bound bounds the connections of a service's listeners.
func (d *daemon) bound(service string, max int, makeRoom func(), listeners []net.Listener) []net.Listener {
	if lowered, ok := d.lowered[service]; ok {
		max = lowered
	}
	bounded := door.New(door.Options{Service: service, Max: max, Log: d.log, MakeRoom: makeRoom,
		Waiting: func() { d.metrics.Refused(service + ".max_connections") }})
	for i, ln := range listeners {
		listeners[i] = bounded.Listen(ln)
	}
	return listeners
}

// openMilter opens the service for MTAs.
func openMilter(d *daemon, policy *stamp.Policy) (service, error) {
	c := d.config.Milter
	d.noteMode(policy)
	server := milter.NewServer(milter.Options{
		Policy: policy, Reserve: d.reserve, Offer: d.offer, Log: d.log, Observe: d.metrics,
		IdleTimeout: time.Duration(c.IdleTimeout), MessageBudget: time.Duration(c.MessageBudget)})
	listeners, err := d.listen("milter", c.MaxConnections, server.DropIdlest, c.Listen...)
	reload := func(_ *config.Config, p *stamp.Policy) {
		next := *p
		next.OnFailure = policy.OnFailure // the guard's journal is open for this one
		d.noteMode(p)
		server.SetPolicy(&next)
	}
	return service{"milter", listeners, server.Serve, server.Shutdown, reload}, err
}

// noteMode warns of a mode in which mail gets no permalinks.
func (d *daemon) noteMode(p *stamp.Policy) {
	if p.Observe {
		d.log.Warn("milter.mode is observe: every message passes unchanged, and none is reserved")
	}
}

// reserve reserves, and counts new reservations whose token has a suffix.
func (d *daemon) reserve(ctx context.Context, r registry.Request) (registry.Result, error) {
	result, err := d.registry.Reserve(ctx, r)
	if err == nil && result.Outcome == registry.Fresh && result.Ordinal > 1 {
		d.metrics.collisions.Inc()
	}
	return result, err
}

// offer returns what reserve would, and reserves nothing.
func (d *daemon) offer(ctx context.Context, r registry.Request) (registry.Result, error) {
	return registry.Peek(ctx, d.registry, r)
}

// startAll serves every listener of the services. The channel reports each
// service that ends.
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
