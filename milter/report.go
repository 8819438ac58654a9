package milter

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"permalink-milter/registry/stamp"
)

// result names a decision for logs and metrics.
func result(d stamp.Decision) string {
	switch {
	case d.TempFail:
		return "tempfail"
	case len(d.Fields) == 0:
		return "unmarked"
	case len(d.Edits) == 0:
		return "unchanged"
	}
	return "stamped"
}

// report logs one line about a message: at error level when the registry did
// not serve, and the edits at debug level.
func (s *session) report(d stamp.Decision, took time.Duration) {
	s.server.o.Observe.Message(result(d), took)
	level := slog.LevelInfo
	attrs := []slog.Attr{slog.String("qid", s.queueID), slog.String("hash", d.Hash)}
	for _, st := range d.Stamps {
		attrs = append(attrs, slog.Group(st.Archive.Name, "list", st.List, "token", st.Token, "outcome", st.Result.Outcome.String()))
	}
	if len(d.Notes) > 0 {
		attrs = append(attrs, slog.String("note", strings.Join(d.Notes, "; ")))
	}
	if d.Err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", d.Err.Error()))
	}
	s.conn.log.LogAttrs(context.Background(), level, "message "+result(d), attrs...)
	for _, e := range d.Edits {
		s.conn.log.Debug("edit", "qid", s.queueID, "op", e.Op.String(), "name", e.Name, "index", e.Index, "value", e.Value)
	}
}
