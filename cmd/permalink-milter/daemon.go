package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"permalink-milter/cmd/internal/version"
	"permalink-milter/config"
	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/stamp"
)

// A daemon runs the services of one configuration.
type daemon struct {
	file     string         // of the configuration; may be empty
	config   *config.Config // in force since the start
	archives []string       // names of those in force
	log      *slog.Logger
	level    slog.LevelVar
	metrics  *metrics
	store    registry.Store // behind registry, without the guard
	registry registry.Registry
	redis    *redisreg.Store        // under registry; nil for another store
	evicts   atomic.Pointer[string] // why Redis may evict reservations; nil if it may not
	sockets  *sockets
	lowered  map[string]int // bounds on connections, see lowerBounds
	services []service      // the last opened first
	ready    atomic.Bool    // serving and not shutting down
}

// serve runs the daemon until ctx ends, and then waits for the messages in
// progress.
func serve(ctx context.Context, file string, c *config.Config, policy *stamp.Policy, std stdio) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	d := &daemon{file: file, config: c, metrics: newMetrics()}
	d.log = newLog(c.Log, &d.level, std.err)
	slog.SetDefault(d.log) // for libraries that log through package log
	d.announce()
	if err := d.open(ctx, policy); err != nil {
		return err
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	go d.watchEviction(watching)
	ended := startAll(d.services)
	for _, s := range d.services {
		for _, ln := range s.listeners {
			d.log.Info("listening", "service", s.name, "addr", ln.Addr().String())
		}
	}
	if file == "" {
		greet(std.out, c)
	}
	err := d.wait(ctx, ended, hup)
	return errors.Join(err, d.shutdown())
}

// announce logs what the daemon starts with.
func (d *daemon) announce() {
	d.archives = archiveNames(d.config)
	d.log.Info("starting", "version", version.String(), "config", cmp.Or(d.file, "none"),
		"registry", config.MaskURL(config.InStateDir(d.config.Registry.URL, d.config.StateDir)), "archives", d.archives)
}

func archiveNames(c *config.Config) []string {
	names := make([]string, 0, len(c.Archives))
	for _, a := range c.Archives {
		names = append(names, a.Name)
	}
	return names
}

// compareArchives warns of a reload that drops archives: whoever edited the file
// may not have meant to.
func (d *daemon) compareArchives(next []string) {
	dropped := slices.DeleteFunc(slices.Clone(d.archives), func(name string) bool { return slices.Contains(next, name) })
	if len(dropped) > 0 {
		d.log.Warn("the configuration has fewer archives than before; messages for the dropped ones get no permalink of theirs any more",
			"archives", len(next), "were", len(d.archives), "dropped", dropped)
	}
	d.archives = next
}

// greet explains what to do next to those who start the daemon without a
// configuration.
func greet(w io.Writer, c *config.Config) {
	fmt.Fprintf(w, "No --config: the daemon uses its defaults. Connect your MTA to it. Postfix:\n\n%s\nSendmail, in sendmail.mc:\n\n%s\n",
		postfixLines(c.Milter.Listen), sendmailLines(c.Milter.Listen))
}

// open opens the registry and all listeners. After an error, none is open.
func (d *daemon) open(ctx context.Context, policy *stamp.Policy) (err error) {
	if d.registry, err = d.openGuarded(ctx, policy.OnFailure); err != nil {
		return err
	}
	d.lowered = d.lowerBounds()
	if d.sockets, err = newSockets(d.config.Milter); err == nil {
		err = d.openServices(policy)
	}
	if err != nil {
		return errors.Join(err, d.sockets.close(), d.registry.Close())
	}
	return nil
}

func (d *daemon) openServices(policy *stamp.Policy) error {
	for _, open := range openers {
		s, err := open(d, policy)
		if err != nil {
			return err
		}
		if len(s.listeners) > 0 {
			d.services = slices.Insert(d.services, 0, s)
		}
	}
	return d.sockets.unused()
}

// wait returns when a service or ctx ends. Meanwhile it reloads the
// configuration at each signal and notifies systemd's watchdog.
func (d *daemon) wait(ctx context.Context, ended <-chan error, hup <-chan os.Signal) error {
	alive, stop := d.watchdog()
	defer stop()
	d.ready.Store(true)
	d.notifyReady()
	for {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		case <-hup:
			d.reload()
		case <-alive:
			d.notify(sdAlive)
		}
	}
}

// reload reads the configuration again and applies it to the messages that
// begin from now on. A bad file changes nothing.
func (d *daemon) reload() {
	d.notifyReloading()
	defer d.notifyReady()
	c, policy, err := load(d.file)
	d.metrics.reloaded(err == nil)
	if err != nil {
		for problem := range strings.Lines(err.Error()) {
			d.log.Error("configuration not reloaded, the old one stays in force", "problem", strings.TrimSpace(problem))
		}
		return
	}
	setLevel(&d.level, c.Log.Level)
	d.reloadPassword(c)
	for _, s := range d.services {
		if s.reload != nil {
			s.reload(c, policy)
		}
	}
	d.log.Info("configuration reloaded", "archives", archiveNames(c))
	d.compareArchives(archiveNames(c))
	if keys := d.restart(c); len(keys) > 0 {
		d.log.Warn("these keys differ from those at the start; restart the daemon to change them", "keys", keys)
	}
}

// shutdown stops the services, and then closes the registry.
func (d *daemon) shutdown() error {
	d.ready.Store(false)
	d.notifyStopping()
	d.log.Info("stopping")
	budget, cancel := context.WithTimeout(context.Background(), time.Duration(d.config.Milter.ShutdownBudget))
	defer cancel()
	for _, s := range d.services {
		if err := s.shutdown(budget); err != nil {
			d.log.Warn("work in progress was cut off, clients try again", "service", s.name, "error", err)
		}
	}
	return d.registry.Close()
}
