// Command permalink-milter is the daemon: it stamps the mail of an MTA.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
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
	c := config.Default()
	var err error
	if *file != "" {
		c, err = config.Load(*file)
	}
	var policy *milter.Policy
	if err == nil {
		policy, err = newPolicy(c)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitConfig
	}
	if *check {
		fmt.Fprintln(stdout, "configuration is fine")
		return exitOK
	}
	if err := serve(ctx, c, policy, newLog(c.Log, stderr)); err != nil {
		fmt.Fprintln(stderr, err)
		return exitUnavailable
	}
	return exitOK
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
func serve(ctx context.Context, c *config.Config, policy *milter.Policy, log *slog.Logger) error {
	slog.SetDefault(log) // go-milter logs through package log
	reg, err := openRegistry(c)
	if err != nil {
		return err
	}
	defer reg.Close()
	server := milter.NewServer(milter.Options{
		Policy: policy, Reserve: reg.Reserve, Log: log,
		MaxConnections: c.Milter.MaxConnections, IdleTimeout: time.Duration(c.Milter.IdleTimeout),
		MessageBudget: time.Duration(c.Milter.MessageBudget), RegistryTimeout: time.Duration(c.Registry.Timeout),
		MaxHeaderFields: c.Milter.MaxHeaderFields, MaxHeaderBytes: c.Milter.MaxHeaderBytes,
	})
	listeners, err := listen(c.Milter.Listen)
	if err != nil {
		return err
	}
	ended := make(chan error, len(listeners))
	for _, ln := range listeners {
		log.Info("listening", "addr", ln.Addr())
		go func() { ended <- server.Serve(ln) }()
	}
	select {
	case err = <-ended:
	case <-ctx.Done():
		err = milter.ErrServerClosed
	}
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

// listen opens every listener, or none.
func listen(addrs []string) (listeners []net.Listener, err error) {
	for _, addr := range addrs {
		ln, err := net.Listen("tcp", strings.TrimPrefix(strings.TrimPrefix(addr, "inet6:"), "inet:"))
		if err != nil {
			for _, open := range listeners {
				open.Close()
			}
			return nil, fmt.Errorf("milter.listen %q: %w", addr, err)
		}
		listeners = append(listeners, ln)
	}
	return listeners, nil
}
