package conform

import (
	"context"
	"errors"
	"strings"
	"testing"

	"permalink-milter/hashheader/golden"
)

func TestReports(t *testing.T) {
	ending := func(err error) func(context.Context) error { return func(context.Context) error { return err } }
	tests := []Test{
		{"ALG-1", "passes", ending(nil)},
		{"ALG-1", `fails # \ and` + "\n\x1b[31m", ending(errors.New("got \"x\"\nwant # y\x1b"))},
		{"ALG-2", "recommended", ending(errors.New("not there"))},
		{"ID-1", "does not apply", ending(skipError("the command prints no #"))},
	}
	var tap, json strings.Builder
	for _, to := range []Reporter{NewTAP(&tap), NewJSON(&json)} {
		if failed, err := Run(t.Context(), tests, to); failed != 1 || err != nil {
			t.Errorf("%d failed, %v", failed, err)
		}
	}
	golden.Equal(t, "testdata/report.golden", tap.String()+json.String())
}

func TestARunEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, []Test{{"ALG-1", "x", func(ctx context.Context) error { return ctx.Err() }}}, &results{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
