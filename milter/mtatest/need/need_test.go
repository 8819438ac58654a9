package need_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// A verdict records how a test ended.
type verdict struct {
	testing.TB
	text string
}

func (v *verdict) Helper() {}

func (v *verdict) end(how, text string) {
	v.text = how + ": " + text
	runtime.Goexit()
}

func (v *verdict) Skip(args ...any)  { v.end("skip", fmt.Sprint(args...)) }
func (v *verdict) Fatal(args ...any) { v.end("fail", fmt.Sprint(args...)) }

// of returns how a test with these needs ends, "" if it goes on.
func of(needs func(testing.TB)) string {
	var v verdict
	done := make(chan struct{})
	go func() {
		defer close(done)
		needs(&v)
	}()
	<-done
	return v.text
}

func TestMissingProgramsAreSkippedAndFailUnderCI(t *testing.T) {
	if testing.Short() {
		t.Skip("-short skips whatever is missing")
	}
	absent := filepath.Join(t.TempDir(), "absent")
	for how, ci := range map[string]string{"skip: ": "", "fail: ": "true"} {
		t.Setenv("CI", ci)
		for _, c := range []struct {
			needs func(testing.TB)
			want  string
		}{
			{func(t testing.TB) { need.Program(t, "no-such-program", "some-package another") }, how + "no-such-program is missing; install it with: testdata/install.sh some-package another"},
			{func(t testing.TB) { need.File(t, absent, "make it") }, how + absent + " is missing; install it with: make it"},
			{func(t testing.TB) { need.Program(t, "sh", "dash") }, ""},
			{func(t testing.TB) { need.File(t, ".", "make it") }, ""},
			{func(t testing.TB) { need.Time(t, "it waits") }, ""},
		} {
			if got := of(c.needs); got != c.want {
				t.Errorf("CI=%s: %q, want %q", ci, got, c.want)
			}
		}
	}
}

func TestShortModeSkips(t *testing.T) {
	if !testing.Short() {
		t.Skip("for -short mode")
	}
	for want, needs := range map[string]func(testing.TB){
		"it runs sh":  func(t testing.TB) { need.Program(t, "sh", "dash") },
		"it needs .":  func(t testing.TB) { need.File(t, ".", "make it") },
		"it takes 1s": func(t testing.TB) { need.Time(t, "it takes 1s") },
	} {
		if got := of(needs); !strings.HasPrefix(got, "skip: ") || !strings.HasSuffix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
