// Command permalink-milter is the daemon: it stamps the mail of an MTA.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"permalink-milter/config"
	"permalink-milter/milter"
)

// Exit codes, as sysexits.h has them.
const (
	exitOK          = 0
	exitUsage       = 64
	exitUnavailable = 69
	exitConfig      = 78
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("permalink-milter", flag.ContinueOnError)
	flags.SetOutput(stderr)
	file := flags.String("config", "", "read the configuration from `FILE`; without one the defaults serve")
	check := flags.Bool("check", false, "check the configuration and exit")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	c, policy, err := load(*file)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitConfig
	}
	if *check {
		fmt.Fprintln(stdout, "configuration is fine")
		return exitOK
	}
	if err := serve(ctx, *file, c, policy, newLog(c.Log, stderr)); err != nil {
		fmt.Fprintln(stderr, err)
		return exitUnavailable
	}
	return exitOK
}

// load reads and checks the configuration; no file means the defaults.
func load(file string) (*config.Config, *milter.Policy, error) {
	c, problems := config.Load(file)
	if c == nil {
		return nil, nil, problems.Err()
	}
	p := newPolicy(c, problems)
	return c, p, problems.Err()
}

func newLog(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if level.UnmarshalText([]byte(c.Level)) != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// serve runs the milter until ctx ends, then lets messages in progress end.
func serve(ctx context.Context, file string, c *config.Config, policy *milter.Policy, log *slog.Logger) error {
	slog.SetDefault(log) // go-milter logs through package log
	reg, err := openGuarded(c, policy.OnFailure, log)
	if err != nil {
		return err
	}
	defer reg.Close()
	server := milter.NewServer(milter.Options{
		Policy: policy, Reserve: reg.Reserve, Log: log,
		MaxConnections: c.Milter.MaxConnections, IdleTimeout: time.Duration(c.Milter.IdleTimeout),
		MessageBudget:   time.Duration(c.Milter.MessageBudget),
		MaxHeaderFields: c.Milter.MaxHeaderFields, MaxHeaderBytes: int(c.Milter.MaxHeaderBytes),
	})
	listeners, err := listen(c.Milter)
	if err != nil {
		return err
	}
	ended := make(chan error, len(listeners))
	for _, ln := range listeners {
		log.Info("listening", "addr", ln.Addr())
		go func() { ended <- server.Serve(ln) }()
	}
	err = wait(ctx, ended, func() { reload(file, server, log) })
	budget, cancel := context.WithTimeout(context.Background(), time.Duration(c.Milter.ShutdownBudget))
	defer cancel()
	if shut := server.Shutdown(budget); shut != nil {
		log.Warn("messages in progress were cut off, their MTAs try again", "error", shut)
	}
	if errors.Is(err, milter.ErrServerClosed) {
		return nil
	}
	return err
}

// wait returns when a listener or ctx ends. It calls reload at each SIGHUP.
func wait(ctx context.Context, ended <-chan error, reload func()) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
			return milter.ErrServerClosed
		case <-hup:
			reload()
		}
	}
}

// reload makes [header] and [[archive]] of the file, as it is now, count for
// the messages that begin from now on. A bad file changes nothing.
func reload(file string, server *milter.Server, log *slog.Logger) {
	_, policy, err := load(file)
	if err != nil {
		log.Error("configuration not reloaded, the old one stays in force", "error", err)
		return
	}
	server.SetPolicy(policy)
	log.Info("configuration reloaded; all but [header] and [[archive]] needs a restart")
}
