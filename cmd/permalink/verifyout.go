package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"permalink-milter/hashheader"
)

// outputFlags say how findings are told.
type outputFlags struct {
	json, verbose, authres bool
	authservID             string
}

func (o *outputFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object a message")
	cmd.Flags().BoolVarP(&o.verbose, "verbose", "v", false, "print a line for messages that are fine, too")
	cmd.Flags().BoolVar(&o.authres, "authentication-results", false, "print the Authentication-Results header (RFC 8601) of each message")
	cmd.Flags().StringVar(&o.authservID, "authserv-id", "", "the `NAME` in that header; default: this host's")
	cmd.MarkFlagsMutuallyExclusive("json", "verbose", "authentication-results")
}

// A printer writes findings to standard output and counts them.
type printer struct {
	outputFlags
	out     *bufio.Writer
	errors  io.Writer // where results are for machines
	paint   bool
	count   tally
	flushed time.Time
	err     error // the first in writing
}

// printer returns what writes findings as the flags say.
func (o outputFlags) printer(std stdio) *printer {
	if o.authservID == "" {
		o.authservID = hostname()
	}
	return &printer{outputFlags: o, out: bufio.NewWriter(std.out), errors: std.err, paint: colours(std.out)}
}

// shows tells if print will write something.
func (p *printer) shows(f finding) bool {
	return p.json || p.verbose || p.authres || f.Err != nil || !f.result().Fine()
}

// print counts a finding and writes it where it is to be shown.
func (p *printer) print(f finding) {
	p.count.add(f)
	switch {
	case !p.shows(f):
		return
	case p.json:
		p.keep(writeJSON(p.out, f))
	case p.authres && f.checks == nil:
		p.keep(p.line(p.errors, f))
	case p.authres:
		_, err := fmt.Fprintf(p.out, "%s: %s\n", hashheader.AuthenticationResultsField, hashheader.AuthenticationResults(p.authservID, f.checks))
		p.keep(err)
	default:
		p.keep(p.line(p.out, f))
	}
	// Whoever watches is to see a finding soon, at no price for a million.
	if now := time.Now(); now.Sub(p.flushed) > flushAfter {
		p.keep(p.out.Flush())
		p.flushed = now
	}
}

const flushAfter = 100 * time.Millisecond

// keep notes an error in writing; it is told once, at the end.
func (p *printer) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

// finish writes the summary.
func (p *printer) finish() error {
	if !p.json && !p.authres {
		fmt.Fprintln(p.out, p.count)
	}
	p.keep(p.out.Flush())
	return p.err
}

// line writes what is not fine, with -v all.
func (p *printer) line(out io.Writer, f finding) error {
	word, text := string(f.result()), strings.Join(p.reasons(f), "; ")
	switch id := messageID(f.Header); {
	case f.Index == 0:
		word = "error"
	case id != "":
		text = printable(id) + ": " + text
	case f.checks != nil:
		text = "no Message-ID: " + text
	}
	_, err := fmt.Fprintf(out, "%s:%d: %s: %s\n", printable(f.Source), f.Offset, p.coloured(word), text)
	return err
}

// reasons are what is wrong, and with -v what is right.
func (p *printer) reasons(f finding) (out []string) {
	if f.Err != nil {
		out = append(out, printable(f.Err.Error()))
	}
	for _, c := range f.checks {
		if !p.verbose && c.Result.Fine() {
			continue
		}
		text := c.Method
		if c.Field != "" {
			text = c.Field
		}
		if p.verbose {
			text += " " + string(c.Result)
		}
		if c.Reason != "" {
			text += ": " + c.Reason
		}
		out = append(out, printable(text))
	}
	return out
}

// coloured paints a result word by how bad it is.
func (p *printer) coloured(word string) string {
	if !p.paint {
		return word
	}
	colour := "31" // red
	switch hashheader.Result(word) {
	case hashheader.Pass:
		colour = "32"
	case hashheader.None:
		colour = "2"
	case hashheader.TempError, hashheader.Policy:
		colour = "33"
	}
	return "\x1b[" + colour + "m" + word + "\x1b[0m"
}

// maxText bounds a text from a message in a line, in bytes.
const maxText = 300

// printable bounds a text from a message and spells out what is not UTF-8 and
// what has no look of its own: that could move the cursor of a terminal, turn
// its direction, or hide.
func printable(text string) string {
	var b strings.Builder
	for i, r := range text {
		_, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case i > maxText:
			return b.String() + "…"
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// writeJSON writes the object that the help documents: its keys stay.
func writeJSON(out io.Writer, f finding) error {
	record := struct {
		Source    string             `json:"source"`
		Index     int                `json:"index"`
		Offset    int64              `json:"offset"`
		MessageID string             `json:"message_id,omitempty"`
		Result    hashheader.Result  `json:"result,omitempty"`
		Results   []hashheader.Check `json:"results,omitempty"`
		Error     string             `json:"error,omitempty"`
	}{Source: f.Source, Index: f.Index, Offset: f.Offset, Result: f.result(), Results: f.checks}
	if f.Header != nil {
		record.MessageID = messageID(f.Header)
	}
	if f.Err != nil {
		record.Error = f.Err.Error()
	}
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(record)
}

// A tally counts findings: messages by their result, and sources that could
// not be read.
type tally struct {
	messages, errors int
	by               map[hashheader.Result]int
}

func (t *tally) add(f finding) {
	if f.Index == 0 {
		t.errors++
		return
	}
	if t.by == nil {
		t.by = make(map[hashheader.Result]int)
	}
	t.messages++
	t.by[f.result()]++
}

// String returns the summary.
func (t tally) String() string {
	var parts []string
	for _, r := range []hashheader.Result{hashheader.Pass, hashheader.Fail, hashheader.PermError, hashheader.Policy, hashheader.TempError, hashheader.None} {
		if t.by[r] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", t.by[r], r))
		}
	}
	text := plural(t.messages, "message")
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	if t.errors > 0 {
		text += "; " + plural(t.errors, "error")
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// exit returns the error that ends the program with the right code.
func (t tally) exit() error {
	fine := t.by[hashheader.Pass] + t.by[hashheader.None]
	switch {
	case t.errors > 0 || fine+t.by[hashheader.TempError] < t.messages:
		return &exitError{exitFailed, nil}
	case fine < t.messages:
		return &exitError{exitTemporary, nil}
	}
	return nil
}

// messageID returns the canonical Message-ID, "" for a message that none names.
func messageID(h hashheader.Header) string {
	id, err := h.MessageID()
	if err != nil {
		return ""
	}
	return string(id)
}
