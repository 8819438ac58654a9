// Command permalink is the tool for people who hold messages: it hashes their
// Message-IDs, verifies and adds their permalink headers, and reserves and
// looks up permalinks.
//
// Each verb has a file of its own. What verbs share is in packages below this
// folder, each named by what it does.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"permalink-milter/cmd/internal/version"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/hashheader"
)

// Exit codes. The last two are sysexits.h's EX_TEMPFAIL and EX_CONFIG.
const (
	exitOK        = 0
	exitFailed    = 1 // a message is not fine
	exitUsage     = 2
	exitTemporary = 75 // try again later
	exitConfig    = 78
)

// A stdio has the standard streams of a verb.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// An exitError ends the program with a code. Err is printed; it is nil where
// the verb has printed everything.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return fmt.Sprint(e.err) }
func (e *exitError) Unwrap() error { return e.err }

// failure is an error of one message, with the exit code that it has.
func failure(file string, err error) error {
	code := exitFailed
	var exit *exitError
	if errors.As(err, &exit) {
		code, err = exit.code, exit.err
	}
	return &exitError{code, fmt.Errorf("%s: %w", report.Name(file), err)}
}

// The errors of a verb that a signal ended. The second is for what goes on where
// it was when it is run again.
var (
	errInterrupted = &exitError{exitTemporary, errors.New("interrupted")}
	errGoOn        = &exitError{exitTemporary, errors.New("interrupted; run it again to go on")}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what ignores the first
	os.Exit(run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}))
}

// run is main without the process. It returns the exit code. A verb's error is
// a usage error unless it is an exitError.
func run(ctx context.Context, args []string, std stdio) int {
	root := newRoot(std)
	root.SetArgs(args)
	verb, err := root.ExecuteContextC(ctx)
	var exit *exitError
	switch {
	case err == nil:
		return exitOK
	case !errors.As(err, &exit):
		complain(verb, err, std.err)
		fmt.Fprintf(std.err, "Try '%s --help'.\n", verb.CommandPath())
		return exitUsage
	case exit.err != nil:
		complain(verb, exit.err, std.err)
	}
	return exit.code
}

// complain prints the error of a verb, and which configuration it read where the
// user named none.
func complain(verb *cobra.Command, err error, w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", verb.CommandPath(), printable(err))
	sayDefault(verb)
}

// printable returns the lines of an error, which may hold the name of a file or
// the reply of a server, safe for a terminal.
func printable(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		lines[i] = hashheader.Printable(line)
	}
	return strings.Join(lines, "\n")
}

const long = `Compute, check and look up the permalinks of mail messages.

hash, verify, stamp and url need no registry; deliver speaks to an archive, and conform to another program. The other
verbs use the registry that the configuration names. The configuration is the file of --config, or without it the
installed one, as for 'permalink-milter --check', unless other flags name archives or a registry. 'permalink VERB --help'
explains a verb.`

const example = `  permalink hash message.eml
  permalink verify Maildir/
  permalink url message.eml
  permalink lookup --list devel@lists.example.org '<abc@example.org>'`

// newRoot returns the command with all its verbs.
func newRoot(std stdio) *cobra.Command {
	root := &cobra.Command{
		Use:           "permalink",
		Short:         "Compute, check and look up the permalinks of mail messages",
		Long:          long,
		Example:       example,
		Version:       version.String(),
		Args:          cobra.NoArgs,
		RunE:          func(*cobra.Command, []string) error { return errors.New("name a verb") },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	root.AddCommand(newHash(std), newVerify(std), newStamp(std), newImport(std), newLookup(std))
	root.AddCommand(newDeliver(std), newURL(std), newRegistry(std), newRelease(std), newConfirm(std), newToken(std), newTrace(std), newConform(std))
	return root
}
