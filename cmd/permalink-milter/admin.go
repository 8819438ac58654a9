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

// The question by which readiness finds out whether the registry answers.
const (
	probeList = "readyz@localhost"
	probeHash = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
)

// openAdmin opens the door for monitoring.
func openAdmin(d *daemon, _ *stamp.Policy) (service, error) {
	listeners, err := d.sockets.open("admin.listen", d.config.Admin.Listen)
	server := newHTTPServer(d.adminHandler(), d.log)
	return service{name: "admin", listeners: listeners, serve: server.Serve, shutdown: httpShutdown(server)}, err
}

// newHTTPServer returns a server whose every wait is bounded.
func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// httpShutdown lets requests end, or cuts them off when the context ends.
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
	})
	return mux
}

// unready tells why the daemon is not ready, if so.
func (d *daemon) unready(ctx context.Context) string {
	if !d.ready.Load() {
		return "the daemon starts or stops"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Duration(d.config.Registry.Timeout))
	defer cancel()
	if _, err := d.registry.LookupHash(ctx, probeList, probeHash); err != nil {
		d.log.Debug("not ready", "error", err)
		return "the registry does not answer"
	}
	return ""
}
