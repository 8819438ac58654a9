package backfill

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"permalink-milter/cmd/permalink/report"
)

// A Reporter writes a line for each message that is unusual, and counts all.
type Reporter struct {
	Out   io.Writer
	JSON  io.Writer // nil: no JSON lines
	Clear func()    // makes room for a line on a terminal
	// ReserveOnly says that permalinks are reserved and not confirmed.
	ReserveOnly bool

	messages, entered, held, collisions, missing, odd, skipped, errors int

	err error // the first in writing JSON
}

// An event is a line of the report; its keys are documented in import's help.
type event struct {
	Event     string `json:"event"`
	Source    string `json:"source"`
	Index     int    `json:"index"`
	Offset    int64  `json:"offset"`
	MessageID string `json:"message_id,omitempty"`
	Token     string `json:"token,omitempty"`
	Date      string `json:"date,omitempty"`
	Subject   string `json:"subject,omitempty"`
	Reason    string `json:"reason,omitempty"`
}

// Message reports what became of a message.
func (r *Reporter) Message(m *Message) {
	if m.Err != nil {
		r.errors++
		r.write(m, event{Event: "error", Reason: m.Err.Error()})
		return
	}
	r.messages++
	if m.Missing != "" {
		r.missing++
		r.write(m, event{Event: "missing", Reason: m.Missing})
	}
	if m.Odd != "" {
		r.odd++
		r.write(m, event{Event: "odd", MessageID: m.ID(), Reason: m.Odd})
	}
	if m.Skipped != "" {
		r.skipped++
		r.write(m, event{Event: "skipped", MessageID: m.ID(), Reason: m.Skipped})
	}
	r.stamps(m)
}

// stamps counts a message by what became of its permalinks.
func (r *Reporter) stamps(m *Message) {
	if len(m.Stamps) == 0 {
		return
	}
	if m.Changed {
		r.entered++
	} else {
		r.held++
	}
	for _, s := range m.Stamps {
		if s.Result.Ordinal > 1 {
			r.collisions++
			r.write(m, event{Event: "collision", MessageID: m.ID(), Token: s.Result.Token()})
			return
		}
	}
}

// write writes an event as a line, and as JSON.
func (r *Reporter) write(m *Message, e event) {
	e.Source, e.Index, e.Offset, e.Date, e.Subject = m.Source, m.Index, m.Offset, m.Date(), m.Subject()
	r.Clear()
	fmt.Fprintln(r.Out, e)
	if r.JSON == nil {
		return
	}
	encoder := json.NewEncoder(r.JSON)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(e); r.err == nil {
		r.err = err
	}
}

// String returns the event for people: SOURCE:OFFSET: EVENT: DETAILS.
func (e event) String() string {
	parts := []string{fmt.Sprintf("%s:%d", report.Name(e.Source), e.Offset), e.Event}
	for _, text := range []string{e.MessageID, e.Token, e.Reason} {
		if text != "" {
			parts = append(parts, report.Text(text))
		}
	}
	line := strings.Join(parts, ": ")
	if e.Index == 0 {
		return line
	}
	which := []string{fmt.Sprintf("message %d", e.Index)}
	if e.Date != "" {
		which = append(which, e.Date)
	}
	if e.Subject != "" {
		which = append(which, `"`+e.Subject+`"`)
	}
	return line + " (" + strings.Join(which, ", ") + ")"
}

// Err returns the first error in writing JSON.
func (r *Reporter) Err() error { return r.err }

// Failed reports whether a message or a source could not be imported.
func (r *Reporter) Failed() bool { return r.errors > 0 }

// String returns the summary.
func (r *Reporter) String() string {
	entered := "archived"
	if r.ReserveOnly {
		entered = "reserved"
	}
	text := fmt.Sprintf("%s: %d %s, %d held already; %d collided, %d without Message-ID, %d odd",
		report.Plural(r.messages, "message"), r.entered, entered, r.held, r.collisions, r.missing, r.odd)
	if r.skipped > 0 {
		text += fmt.Sprintf(", %d skipped", r.skipped)
	}
	return text + "; " + report.Plural(r.errors, "error")
}
