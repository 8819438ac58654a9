package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/cmd/permalink/mailbox"
	"permalink-milter/hashheader"
)

// found is a message with these results of its hash.
func found(results ...hashheader.Result) finding {
	f := finding{Message: mailbox.Message{Index: 1}, checks: []hashheader.Check{{Method: hashheader.MethodMessageID, Result: hashheader.Pass}}}
	for _, r := range results {
		f.checks = append(f.checks, hashheader.Check{Method: hashheader.MethodHash, Result: r})
	}
	return f
}

func TestTheWorstResultCounts(t *testing.T) {
	for _, c := range []struct {
		results []hashheader.Result
		want    hashheader.Result
	}{
		{nil, hashheader.None},
		{[]hashheader.Result{hashheader.None}, hashheader.None},
		{[]hashheader.Result{hashheader.None, hashheader.Pass}, hashheader.Pass},
		{[]hashheader.Result{hashheader.Pass, hashheader.TempError}, hashheader.TempError},
		{[]hashheader.Result{hashheader.Policy, hashheader.TempError}, hashheader.Policy},
		{[]hashheader.Result{hashheader.PermError, hashheader.Policy}, hashheader.PermError},
		{[]hashheader.Result{hashheader.Fail, hashheader.PermError, hashheader.Pass}, hashheader.Fail},
	} {
		if got := found(c.results...).result(); got != c.want {
			t.Errorf("%v: %s, want %s", c.results, got, c.want)
		}
	}
	cut := found(hashheader.Pass)
	cut.Err = mailbox.ErrCut
	if got := cut.result(); got != hashheader.PermError {
		t.Errorf("cut off: %s", got)
	}
}

func TestSummaryAndExitCode(t *testing.T) {
	source := finding{Message: mailbox.Message{Err: mailbox.ErrEmpty}}
	for _, c := range []struct {
		findings []finding
		text     string
		code     int
	}{
		{nil, "0 messages", exitOK},
		{[]finding{found(hashheader.Pass), found()}, "2 messages: 1 pass, 1 none", exitOK},
		{[]finding{found(hashheader.TempError), found(hashheader.Pass)}, "2 messages: 1 pass, 1 temperror", exitTemporary},
		{[]finding{found(hashheader.TempError), found(hashheader.Fail)}, "2 messages: 1 fail, 1 temperror", exitFailed},
		{[]finding{found(hashheader.Policy)}, "1 message: 1 policy", exitFailed},
		{[]finding{found(hashheader.PermError)}, "1 message: 1 permerror", exitFailed},
		{[]finding{source}, "0 messages; 1 error", exitFailed},
		{[]finding{source, source, found(hashheader.TempError)}, "1 message: 1 temperror; 2 errors", exitFailed},
	} {
		var sum tally
		for _, f := range c.findings {
			sum.add(f)
		}
		code := exitOK
		var exit *exitError
		if errors.As(sum.exit(), &exit) {
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
		if got := inStateDir(url, "/var/lib/x"); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}
