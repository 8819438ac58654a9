// Package model checks the protocol of reservations with spin: reserve.pml is
// the model, and the tests say what it promises and what it does not.
package model

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// check runs spin on every state that the model can reach, and returns what it
// printed. Args are definitions for the model, and options of spin.
func check(t *testing.T, args ...string) string {
	t.Helper()
	need.Program(t, "spin", "spin gcc libc6-dev")
	file, err := filepath.Abs("reserve.pml")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("spin", append(args, "-safety", "-m100000", "-DCOLLAPSE", file)...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "states, stored") {
		t.Fatalf("spin: %v\n%s", err, out)
	}
	if strings.Contains(string(out), "max search depth too small") {
		t.Fatalf("spin has not seen every state:\n%s", out)
	}
	return string(out)
}

func promised(t *testing.T, defines ...string) {
	t.Helper()
	if out := check(t, append(defines, "-run")...); !strings.Contains(out, "errors: 0") {
		t.Errorf("%s is broken:\n%s", defines, out)
	}
}

// notPromised wants a counterexample, and searches breadth first for the
// shortest.
func notPromised(t *testing.T, defines ...string) {
	t.Helper()
	if out := check(t, append(defines, "-run", "-bfs")...); !strings.Contains(out, "assertion violated") {
		t.Errorf("spin finds no counterexample to %s:\n%s", defines, out)
	}
}

func TestWithMinReplicasNothingIsLostInAFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("spin visits nine million states: run without -short")
	}
	promised(t, "-DFAILOVER", "-DWAIT", "-DTOKEN", "-DJOURNAL", "-DAGREE")
}

func TestWithoutAFailoverNothingIsLost(t *testing.T) {
	if testing.Short() {
		t.Skip("spin visits three million states: run without -short")
	}
	promised(t, "-DTOKEN", "-DJOURNAL", "-DAGREE")
}

// What is not promised has a counterexample.
func TestWithoutMinReplicasAFailoverTakesTokensAway(t *testing.T) {
	notPromised(t, "-DFAILOVER", "-DTOKEN")
}

func TestWithoutMinReplicasHostsDisagreeAfterAFailover(t *testing.T) {
	notPromised(t, "-DFAILOVER", "-DAGREE")
}

func TestWithoutMinReplicasAFailoverLosesWhatWasJournalled(t *testing.T) {
	notPromised(t, "-DFAILOVER", "-DJOURNAL")
}

func TestHostsMayStampDifferentTokensDuringAnOutage(t *testing.T) {
	notPromised(t, "-DSAME")
}
