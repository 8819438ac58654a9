package examine

import (
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
)

// found is a message with these results of its hash.
func found(results ...hashheader.Result) Finding {
	f := Finding{Message: mailbox.Message{Index: 1}, Checks: []hashheader.Check{{Method: hashheader.MethodMessageID, Result: hashheader.Pass}}}
	for _, r := range results {
		f.Checks = append(f.Checks, hashheader.Check{Method: hashheader.MethodHash, Result: r})
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
		if got := found(c.results...).Result(); got != c.want {
			t.Errorf("%v: %s, want %s", c.results, got, c.want)
		}
	}
	cut := found(hashheader.Pass)
	cut.Err = mailbox.ErrCut
	if got := cut.Result(); got != hashheader.PermError {
		t.Errorf("cut off: %s", got)
	}
	if cut.Err = mailbox.ErrUnended; cut.Result() != hashheader.Pass {
		t.Errorf("no line end: %s", cut.Result())
	}
}
