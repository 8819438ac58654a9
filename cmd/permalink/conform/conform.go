// Package conform tests implementations of the draft from outside: a command
// that hashes messages, a filter, an archive and a resolver. The draft's
// appendix "Conformance Tests" lists the requirements by their identifiers.
//
// # How to use it
//
//	tests := conform.Hash([]string{"./my-hash"})
//	failed, err := conform.Run(ctx, tests, conform.NewTAP(os.Stdout))
//
// A profile's function returns tests that share what they have learned of the
// implementation: they run in their order.
package conform

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A Test checks a requirement in one case.
type Test struct {
	ID    string // of the requirement
	Name  string
	check func(context.Context) error
}

// An Outcome is how a test ended.
type Outcome string

// The outcomes. A Lapse is a recommendation, a SHOULD, that is not followed.
const (
	Pass  Outcome = "pass"
	Fail  Outcome = "fail"
	Lapse Outcome = "lapse"
	Skip  Outcome = "skip"
)

// A Result is a test and how it ended.
type Result struct {
	Number  int     `json:"test"`
	ID      string  `json:"id"`
	Name    string  `json:"name"`
	Level   Level   `json:"level"`
	Outcome Outcome `json:"outcome"`
	Reason  string  `json:"reason,omitempty"` // unless it passed
}

// A Reporter prints results. Begin is called first, with the number of tests.
type Reporter interface {
	Begin(tests int) error
	Report(Result) error
}

// testTimeout bounds one test.
const testTimeout = 30 * time.Second

// Run runs tests in their order and reports how many failed. Its error is the
// reporter's, or that of a context that ended.
func Run(ctx context.Context, tests []Test, to Reporter) (failed int, err error) {
	if err := to.Begin(len(tests)); err != nil {
		return 0, err
	}
	for i, test := range tests {
		r := test.run(ctx)
		if ctx.Err() != nil {
			return failed, ctx.Err()
		}
		r.Number = i + 1
		if r.Outcome == Fail {
			failed++
		}
		if err := to.Report(r); err != nil {
			return failed, err
		}
	}
	return failed, nil
}

func (t Test) run(ctx context.Context) Result {
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	requirement, _ := Find(t.ID)
	r := Result{ID: t.ID, Name: t.Name, Level: requirement.Level, Outcome: Pass}
	err := t.check(ctx)
	if err == nil {
		return r
	}
	r.Reason = err.Error()
	var skipped skipError
	switch {
	case errors.As(err, &skipped):
		r.Outcome = Skip
	case requirement.Level == Should:
		r.Outcome = Lapse
	default:
		r.Outcome = Fail
	}
	return r
}

// A skipError says why a test does not apply to an implementation.
type skipError string

func (e skipError) Error() string { return string(e) }

// differs returns the error for a value that is not the right one.
func differs(what, got, want string) error {
	return fmt.Errorf("%s is %.1000q, want %.1000q", what, got, want)
}
