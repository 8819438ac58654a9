package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"permalink-milter/hashheader/golden"
)

// quickExit keeps the race detector from waiting for a second at each exit.
const quickExit = "GORACE=atexit_sleep_ms=10"

// The scripts in testdata and the function start run the real main.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"permalink-milter": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: golden.Update(),
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, quickExit)
			return nil
		}})
}
