package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"permalink-milter/hashheader/golden"
)

// The scripts in testdata run the real main.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"permalink": main})
}

// exitAtOnce spares the tool the second that a program with the race detector
// waits at its end: a script of conform runs it hundreds of times.
func exitAtOnce(env *testscript.Env) error {
	env.Setenv("GORACE", "atexit_sleep_ms=0")
	env.Setenv("PERMALINK_CONFIG", "") // of no installed package
	return nil
}

// tests cleans up what several tests used.
type tests struct{ *testing.M }

var ended []func()

func (t tests) Run() int {
	os.Setenv("PERMALINK_CONFIG", "")
	code := t.M.Run()
	for _, f := range ended {
		f()
	}
	return code
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true, UpdateScripts: golden.Update(), Setup: exitAtOnce})
}

// The hash of <abc@example.org>, and a list.
const (
	md5ABC    = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	develList = "devel@lists.example.org"
)
