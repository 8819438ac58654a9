package main

import (
	"net"
	"time"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/stamp"
)

// maxControlConnections is what several runs of the tool open.
const maxControlConnections = 200

// controlTimeout bounds the registry's answer to one request of the tool.
const controlTimeout = 30 * time.Second

// openControl opens the service for the tool: the whole API, without tokens, for
// whoever may open the socket. It works on the store itself, so that an import
// neither journals nor opens the breaker. Mail flows without it: where it cannot
// be opened, the log says so.
func openControl(d *daemon, policy *stamp.Policy) (service, error) {
	c := d.config
	handler, err := httpapi.New(httpapi.Options{
		Store: d.store, StoreName: setup.StoreName(config.InStateDir(c.Registry.URL, c.StateDir)),
		Registry: registry.New(d.store, registry.Options{TTL: time.Duration(c.Registry.ReservationTTL)}),
		Policy:   policy, BaseURL: c.HTTP.BaseURL, Log: d.log, Timeout: controlTimeout, MaxBody: int64(c.HTTP.MaxBody)})
	if err != nil {
		return service{}, err
	}
	socket := setup.ControlSocket(c.StateDir)
	ln, err := private.listenUnix(socket)
	if err != nil {
		d.log.Error("no socket for the tool permalink, which works beside the daemon only with one", "socket", socket, "error", err)
		return service{}, nil
	}
	d.sockets.opened = append(d.sockets.opened, ln)
	server := httpapi.NewServer(handler, d.log)
	listeners := d.bound("control", maxControlConnections, closeIdle(server), []net.Listener{ln})
	reload := func(_ *config.Config, p *stamp.Policy) { handler.SetPolicy(p) }
	return service{"control", listeners, server.Serve, httpShutdown(server), reload}, nil
}
