// Command permalink-milter is the daemon that stamps the mail of an MTA.
//
// Service.go lists its services, each of which has a file: milter, HTTP, LMTP
// and admin. Load.go reads the configuration, daemon.go runs the services, and
// the flag --help explains how to use the command.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/cmd/internal/version"
	"permalink-milter/config"
)

// Exit codes, as sysexits.h has them.
const (
	exitOK          = 0
	exitUsage       = 64
	exitUnavailable = 69
	exitConfig      = 78
)

// stdio holds the streams that the daemon writes to.
type stdio struct{ out, err io.Writer }

// An exitError ends the program with an exit code. Err is printed; it is nil
// where everything was printed.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], stdio{os.Stdout, os.Stderr}))
}

// run executes the command and returns its exit code. It serves until ctx ends.
// An error other than an exitError is one of usage.
func run(ctx context.Context, args []string, std stdio) int {
	root := newRoot(std)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case !errors.As(err, &exit):
		fmt.Fprintf(std.err, "permalink-milter: %v\nTry 'permalink-milter --help'.\n", err)
		return exitUsage
	}
	if exit.err != nil {
		printError(std.err, exit.err)
	}
	return exit.code
}

// flags are those of the command line.
type flags struct {
	file, mta                string
	check, json, printConfig bool
}

const long = `A milter that gives every mailing-list message a permalink. It hashes the Message-ID, writes the hash and the
archive's URL into the header, and reserves the permalink in a registry.

Without --config, --check, --print-config and --print-mta read the installed file. The daemon reads none then: it
listens on inet:127.0.0.1:8899, keeps the embedded registry in the state directory and has no archive, so that messages
get only the hash field.

SIGHUP reads the configuration again. A bad file changes nothing, and the log says why. SIGTERM makes the daemon stop
accepting connections, wait for the messages in progress, and exit.

Exit codes: 0 after SIGTERM, 64 wrong usage, 69 an address or the registry cannot be opened, 78 bad configuration.`

// newRoot returns the command.
func newRoot(std stdio) *cobra.Command {
	var f flags
	root := &cobra.Command{
		Use:           "permalink-milter",
		Short:         "Stamp the mail of an MTA with permalinks",
		Long:          long,
		Example:       "  permalink-milter --check\n  permalink-milter --print-mta postfix",
		Args:          cobra.NoArgs,
		Version:       version.String(),
		RunE:          func(cmd *cobra.Command, _ []string) error { return f.run(cmd.Context(), std) },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.Flags().StringVar(&f.file, "config", "", "read the configuration from `FILE`")
	root.Flags().BoolVar(&f.check, "check", false, "report everything in the configuration and on this host that keeps the daemon from starting, and exit")
	root.Flags().BoolVar(&f.json, "json", false, "with --check: print an object for each finding, with level, key, message and hint")
	root.Flags().BoolVar(&f.printConfig, "print-config", false, "print the configuration in force with passwords masked, and exit")
	root.Flags().StringVar(&f.mta, "print-mta", "", "print the lines that connect `postfix|sendmail` to the daemon, and exit")
	root.MarkFlagsMutuallyExclusive("check", "print-config", "print-mta")
	return root
}

// run executes the command with the flags.
func (f *flags) run(ctx context.Context, std stdio) error {
	if _, known := mtaLines[f.mta]; f.mta != "" && !known {
		return fmt.Errorf("--print-mta %s: write postfix or sendmail", f.mta)
	}
	if f.file == "" && (f.check || f.printConfig || f.mta != "") {
		f.file = setup.ConfigFile()
	}
	if f.check {
		return check(ctx, f.file, f.json, std)
	}
	if f.json {
		return errors.New("--json: only with --check")
	}
	c, policy, err := load(f.file)
	if err != nil {
		return &exitError{exitConfig, err}
	}
	switch {
	case f.printConfig:
		return config.Write(std.out, c)
	case f.mta != "":
		return printMTA(std.out, f.mta, c.Milter.Listen)
	}
	err = serve(ctx, f.file, c, policy, std)
	var exit *exitError
	if err == nil || errors.As(err, &exit) {
		return err
	}
	return &exitError{exitUnavailable, fmt.Errorf("permalink-milter: %w", err)}
}
