package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"permalink-milter/cmd/permalink/examine"
	"permalink-milter/hashheader"
)

// A Style is the form of a Printer's output. At most one of the first three
// fields is true.
type Style struct {
	JSON        bool   // an object a message
	Verbose     bool   // a line for messages that are fine, too
	AuthResults bool   // an Authentication-Results field (RFC 8601) a message
	AuthservID  string // the name in that field
}

// A Printer writes findings and counts them.
type Printer struct {
	Style
	Count   Tally
	Sources Sources
	out     *bufio.Writer
	errors  io.Writer // what is for people where out is for machines
	paint   bool
	flushed time.Time
	err     error // the first in writing
}

// NewPrinter returns a Printer of a style.
func NewPrinter(style Style, out, errors io.Writer) *Printer {
	return &Printer{Style: style, out: bufio.NewWriter(out), errors: errors, paint: colours(out)}
}

// Shows reports whether Print will write something.
func (p *Printer) Shows(f examine.Finding) bool {
	return p.JSON || p.Verbose || p.AuthResults || f.Err != nil || !f.Result().Fine()
}

// flushAfter is how long a line may wait in the buffer. A reader soon sees a
// finding, and a million of them cost few writes.
const flushAfter = 100 * time.Millisecond

// Print counts a finding, and writes it where the style shows it.
func (p *Printer) Print(f examine.Finding) {
	p.Count.Add(f)
	switch {
	case !p.Shows(f):
		return
	case p.JSON:
		p.keep(writeJSON(p.out, f))
	case p.AuthResults && f.Checks == nil:
		p.keep(p.line(p.errors, f))
	case p.AuthResults:
		_, err := fmt.Fprintf(p.out, "%s: %s\n", hashheader.AuthenticationResultsField, hashheader.AuthenticationResults(p.AuthservID, f.Checks))
		p.keep(err)
	default:
		p.keep(p.line(p.out, f))
	}
	if now := time.Now(); now.Sub(p.flushed) > flushAfter {
		p.keep(p.out.Flush())
		p.flushed = now
	}
}

// keep remembers an error in writing for Finish.
func (p *Printer) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

// Finish writes the summary. It returns the first error in writing.
func (p *Printer) Finish() error {
	if !p.JSON && !p.AuthResults {
		p.Sources.Print(p.out, p.Verbose)
		fmt.Fprintln(p.out, p.Count)
	}
	p.Sources.Warn(p.errors)
	p.keep(p.out.Flush())
	return p.err
}

// line writes a finding for people.
func (p *Printer) line(out io.Writer, f examine.Finding) error {
	word, text := string(f.Result()), strings.Join(p.reasons(f), "; ")
	switch id := f.ID(); {
	case f.Index == 0:
		word = "error"
	case id != "":
		text = Text(id) + ": " + text
	case f.Checks != nil:
		text = "no Message-ID: " + text
	}
	_, err := fmt.Fprintf(out, "%s:%d: %s: %s\n", Name(f.Source), f.Offset, p.coloured(word), text)
	return err
}

// reasons returns what is wrong, in the verbose style also what is right.
func (p *Printer) reasons(f examine.Finding) (out []string) {
	if f.Err != nil {
		out = append(out, Text(f.Err.Error()))
	}
	for _, c := range f.Checks {
		if !p.Verbose && c.Result.Fine() {
			continue
		}
		text := c.Method
		if c.Field != "" {
			text = c.Field
		}
		if p.Verbose {
			text += " " + string(c.Result)
		}
		if c.Reason != "" {
			text += ": " + c.Reason
		}
		out = append(out, Text(text))
	}
	return out
}

// coloured paints a result word by how bad it is.
func (p *Printer) coloured(word string) string {
	if !p.paint {
		return word
	}
	colour := "31" // red
	switch hashheader.Result(word) {
	case hashheader.Pass:
		colour = "32" // green
	case hashheader.None:
		colour = "2" // faint
	case hashheader.TempError, hashheader.Policy:
		colour = "33" // yellow
	}
	return "\x1b[" + colour + "m" + word + "\x1b[0m"
}

// writeJSON writes a finding as an object. Its keys are documented in verify's
// help and must not change.
func writeJSON(out io.Writer, f examine.Finding) error {
	record := struct {
		Source    string             `json:"source"`
		Index     int                `json:"index"`
		Offset    int64              `json:"offset"`
		MessageID string             `json:"message_id,omitempty"`
		Result    hashheader.Result  `json:"result,omitempty"`
		Results   []hashheader.Check `json:"results,omitempty"`
		Error     string             `json:"error,omitempty"`
	}{f.Source, f.Index, f.Offset, f.ID(), f.Result(), f.Checks, ""}
	if f.Err != nil {
		record.Error = f.Err.Error()
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(record)
}

// A Tally counts messages by their result, and sources that could not be read.
type Tally struct {
	messages, errors int
	by               map[hashheader.Result]int
}

// Add counts a finding.
func (t *Tally) Add(f examine.Finding) {
	if f.Index == 0 {
		t.errors++
		return
	}
	if t.by == nil {
		t.by = make(map[hashheader.Result]int)
	}
	t.messages++
	t.by[f.Result()]++
}

// String returns the summary.
func (t Tally) String() string {
	var parts []string
	for _, r := range []hashheader.Result{hashheader.Pass, hashheader.Fail, hashheader.PermError, hashheader.Policy, hashheader.TempError, hashheader.None} {
		if t.by[r] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", t.by[r], r))
		}
	}
	text := Plural(t.messages, "message")
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if t.errors > 0 {
		text += "; " + Plural(t.errors, "error")
	}
	return text
}

// Failed reports whether something is wrong that a later try will not mend.
func (t Tally) Failed() bool {
	return t.errors > 0 || t.by[hashheader.Pass]+t.by[hashheader.None]+t.by[hashheader.TempError] < t.messages
}

// Unsettled reports whether a later try may end otherwise for some message.
func (t Tally) Unsettled() bool { return t.by[hashheader.TempError] > 0 }
