package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/coreos/go-systemd/v22/journal"

	"permalink-milter/config"
)

// newLog returns a log in the configured format, whose level follows level.
func newLog(c config.Log, level *slog.LevelVar, w io.Writer) *slog.Logger {
	setLevel(level, c.Level)
	if !inJournal() {
		return slog.New(newHandler(c.Format, level, w))
	}
	lines := &journalLines{w: w}
	return slog.New(journalHandler{newHandler(c.Format, level, lines), lines})
}

func newHandler(format string, level slog.Leveler, w io.Writer) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.NewJSONHandler(w, o)
	}
	return slog.NewTextHandler(w, o)
}

// setLevel sets a level by its name, which config has checked.
func setLevel(level *slog.LevelVar, name string) {
	var l slog.Level
	if l.UnmarshalText([]byte(name)) == nil {
		level.Set(l)
	}
}

// inJournal reports whether standard error goes to systemd's journal.
func inJournal() bool {
	yes, err := journal.StderrIsJournalStream()
	return yes && err == nil
}

// A journalHandler gives the lines of its handler the priority of their record.
type journalHandler struct {
	slog.Handler
	lines *journalLines
}

func (h journalHandler) Handle(ctx context.Context, r slog.Record) error {
	h.lines.Lock()
	defer h.lines.Unlock()
	h.lines.priority = priority(r.Level)
	return h.Handler.Handle(ctx, r)
}

func (h journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return journalHandler{h.Handler.WithAttrs(attrs), h.lines}
}

func (h journalHandler) WithGroup(name string) slog.Handler {
	return journalHandler{h.Handler.WithGroup(name), h.lines}
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	case l >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}

// journalLines writes each line behind its priority, which the journal takes off
// (sd-daemon(3)).
type journalLines struct {
	sync.Mutex
	w        io.Writer
	priority journal.Priority
}

func (j *journalLines) Write(p []byte) (int, error) {
	var out []byte
	for line := range bytes.Lines(p) {
		out = append(fmt.Appendf(out, "<%d>", j.priority), line...)
	}
	_, err := j.w.Write(out)
	return len(p), err
}

// printError prints what ended the daemon.
func printError(w io.Writer, err error) {
	if inJournal() {
		w = &journalLines{w: w, priority: journal.PriErr}
	}
	fmt.Fprintln(w, err)
}
