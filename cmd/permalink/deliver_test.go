package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/lmtp"
	"permalink-milter/registry/memreg"
)

// Each script has an archive of its own: it listens at $ARCHIVE, and keeps the
// list devel in the Maildir $WORK/devel.
func TestDeliverScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/deliver", RequireExplicitExec: true, RequireUniqueNames: true, Setup: startArchive,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"status": status}})
}

// status runs a program, as exec does, that must end with an exit status.
func status(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if !errors.As(err, &exit) || strconv.Itoa(exit.ExitCode()) != args[0] {
		ts.Fatalf("%v, want exit status %s", err, args[0])
	}
}

func startArchive(env *testscript.Env) error {
	url, err := hashheader.ParseTemplate("https://lists.example.org/{token}")
	if err != nil {
		return err
	}
	maildir, err := lmtp.ParseDelivery("maildir:" + filepath.Join(env.WorkDir, "devel"))
	if err != nil {
		return err
	}
	server, err := lmtp.NewServer(lmtp.Options{
		Domains:  []lmtp.Domain{{Name: "archive.example.org", List: "devel@lists.example.org", URL: url, Delivery: maildir}},
		Registry: registry.New(memreg.New(), registry.Options{}), Identity: []string{"message-id", "date"},
		Hostname: "archive.example.org", Log: slog.New(slog.DiscardHandler),
		MaxMessage: 1 << 20, MaxRecipients: 10, Timeout: time.Minute, RegistryTimeout: time.Minute,
	})
	if err != nil {
		return err
	}
	ln, err := net.Listen("unix", filepath.Join(env.WorkDir, "socket"))
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ln) }()
	env.Setenv("ARCHIVE", "unix:"+ln.Addr().String())
	env.Defer(func() {
		err := server.Shutdown(context.Background())
		if served := <-ended; err != nil || !errors.Is(served, lmtp.ErrServerClosed) {
			env.T().Log(err, served)
			env.T().FailNow()
		}
	})
	return nil
}
