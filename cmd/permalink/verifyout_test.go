package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/cmd/permalink/examine"
	"permalink-milter/cmd/permalink/report"
	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
)

// found is a message with these results of its hash.
func found(results ...hashheader.Result) examine.Finding {
	f := examine.Finding{Message: mailbox.Message{Index: 1}}
	for _, r := range results {
		f.Checks = append(f.Checks, hashheader.Check{Method: hashheader.MethodHash, Result: r})
	}
	return f
}

func TestSummaryAndExitCode(t *testing.T) {
	source := examine.Finding{Message: mailbox.Message{Err: mailbox.ErrEmpty}}
	for _, c := range []struct {
		findings []examine.Finding
		text     string
		code     int
	}{
		{nil, "0 messages", exitOK},
		{[]examine.Finding{found(hashheader.Pass), found()}, "2 messages: 1 pass, 1 none", exitOK},
		{[]examine.Finding{found(hashheader.TempError), found(hashheader.Pass)}, "2 messages: 1 pass, 1 temperror", exitTemporary},
		{[]examine.Finding{found(hashheader.TempError), found(hashheader.Fail)}, "2 messages: 1 fail, 1 temperror", exitFailed},
		{[]examine.Finding{found(hashheader.Policy)}, "1 message: 1 policy", exitFailed},
		{[]examine.Finding{found(hashheader.PermError)}, "1 message: 1 permerror", exitFailed},
		{[]examine.Finding{source}, "0 messages; 1 error", exitFailed},
		{[]examine.Finding{source, source, found(hashheader.TempError)}, "1 message: 1 temperror; 2 errors", exitFailed},
	} {
		var sum report.Tally
		for _, f := range c.findings {
			sum.Add(f)
		}
		code := exitOK
		var exit *exitError
		if errors.As(exitOf(sum), &exit) {
			code = exit.code
		}
		if sum.String() != c.text || code != c.code {
			t.Errorf("%q, exit %d; want %q, %d", sum, code, c.text, c.code)
		}
	}
}

// A full disk or a closed pipe is trouble, not a verdict.
func TestAResultThatCannotBeWrittenIsTemporaryTrouble(t *testing.T) {
	var errs strings.Builder
	code := run(t.Context(), []string{"verify", "-v"}, stdio{strings.NewReader(wrongMessage), fullDisk{}, &errs})
	if code != exitTemporary || !strings.Contains(errs.String(), "write the results: no space left") {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestARegistryFileIsFoundAsTheDaemonFindsIt(t *testing.T) {
	for url, want := range map[string]string{
		"bolt:permalinks.db": "bolt:" + filepath.Join("/var/lib/x", "permalinks.db"),
		"bolt:/abs/p.db":     "bolt:/abs/p.db",
		"bolt:":              "bolt:",
		"memory:":            "memory:",
	} {
		if got := config.InStateDir(url, "/var/lib/x"); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
