package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"permalink-milter/registry/stamp"
)

// maxAdminConnections is far more than monitoring needs.
const maxAdminConnections = 100

// adminTimeout bounds a request, and the wait for the next one. Reading the
// metrics may take three times as long.
const adminTimeout = 10 * time.Second

// The key that readiness looks up to find out whether the registry answers.
const (
	probeList = "readyz@localhost"
	probeHash = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// openAdmin opens the service for monitoring.
func openAdmin(d *daemon, _ *stamp.Policy) (service, error) {
	server := &http.Server{Handler: d.adminHandler(), ReadHeaderTimeout: adminTimeout, ReadTimeout: adminTimeout,
		WriteTimeout: 3 * adminTimeout, IdleTimeout: adminTimeout, ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug)}
	listeners, err := d.listen("admin", maxAdminConnections, closeIdle(server), d.config.Admin.Listen)
	return service{name: "admin", listeners: listeners, serve: server.Serve, shutdown: httpShutdown(server)}, err
}

// closeIdle returns a function that closes the connections that wait for a
// request, and lets later ones be kept again.
func closeIdle(s *http.Server) func() {
	return func() {
		s.SetKeepAlivesEnabled(false)
		s.SetKeepAlivesEnabled(true)
	}
}

// httpShutdown returns a function that waits for the requests in progress, and
// closes their connections when the context ends.
func httpShutdown(s *http.Server) func(context.Context) error {
	return func(ctx context.Context) error {
		if err := s.Shutdown(ctx); err != nil {
			return errors.Join(err, s.Close())
		}
		return nil
	}
}

func (d *daemon) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.metrics.registry, promhttp.HandlerOpts{
		Registry: d.metrics.registry, MaxRequestsInFlight: 4, Timeout: 20 * time.Second}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if reason := d.unready(r.Context()); reason != "" {
			http.Error(w, reason, http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
		if evicts := d.evicts.Load(); evicts != nil {
			io.WriteString(w, "warning: "+*evicts+"\n")
		}
	})
	return mux
}

// unready returns why the daemon is not ready, or "" if it is.
func (d *daemon) unready(ctx context.Context) string {
	if !d.ready.Load() {
		return "the daemon is starting or stopping"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.config.Registry.Timeout))
	defer cancel()
	if _, err := d.registry.LookupHash(ctx, probeList, probeHash); err != nil {
		d.log.Debug("not ready", "error", err)
		return "the registry does not answer"
	}
	return ""
}
