package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"permalink-milter/hashheader/golden"
)

// quickExit keeps the race detector from waiting for a second at each exit.
const quickExit = "GORACE=atexit_sleep_ms=10"

// The scripts in testdata and the function start run the real main.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"permalink-milter": main})
}

// tests are of no installed configuration.
type tests struct{ *testing.M }

func (t tests) Run() int {
	os.Setenv("PERMALINK_CONFIG", "")
	return t.M.Run()
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: golden.Update(),
		Setup: func(e *testscript.Env) error {
			e.Vars = append(e.Vars, quickExit, "PERMALINK_CONFIG=")
			return nil
		}})
}
