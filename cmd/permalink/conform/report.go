package conform

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"permalink-milter/hashheader"
)

// A tap prints the Test Anything Protocol, version 14. What a lapse broke is a
// TODO: it does not fail the run.
type tap struct{ to io.Writer }

// NewTAP returns a Reporter that prints TAP 14.
func NewTAP(to io.Writer) Reporter { return tap{to} }

func (t tap) Begin(tests int) error {
	_, err := fmt.Fprintf(t.to, "TAP version 14\n1..%d\n", tests)
	return err
}

func (t tap) Report(r Result) error {
	status, directive := "ok", ""
	switch r.Outcome {
	case Fail:
		status = "not ok"
	case Lapse:
		status, directive = "not ok", " # TODO the draft recommends it"
	case Skip:
		directive = " # SKIP " + line(r.Reason)
	}
	_, err := fmt.Fprintf(t.to, "%s %d - %s %s%s\n", status, r.Number, r.ID, line(r.Name), directive)
	if err == nil && status != "ok" {
		reason, _ := json.Marshal(hashheader.Printable(r.Reason)) // a JSON string is one of YAML
		_, err = fmt.Fprintf(t.to, "  ---\n  level: %s\n  message: %s\n  ...\n", r.Level, reason)
	}
	return err
}

// line returns a text that TAP does not take for anything else.
func line(s string) string {
	return strings.NewReplacer(`\`, `\\`, "#", `\#`).Replace(hashheader.Printable(s))
}

type jsonLines struct{ to *json.Encoder }

// NewJSON returns a Reporter that prints an object a line: the number of tests,
// then each Result.
func NewJSON(to io.Writer) Reporter { return jsonLines{json.NewEncoder(to)} }

func (j jsonLines) Begin(tests int) error { return j.to.Encode(map[string]int{"tests": tests}) }
func (j jsonLines) Report(r Result) error { return j.to.Encode(r) }
