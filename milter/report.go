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

// report logs one line about a message, at error level if the registry did not
// serve, and each edit at debug level.
func (s *session) report(d stamp.Decision, took time.Duration) {
	what := "message " + result(d)
	if s.policy.Observe {
		what = "message observed"
		s.server.o.Observe.Message("observed_"+result(d), took)
	} else {
		s.server.o.Observe.Message(result(d), took)
	}
	level := slog.LevelInfo
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("qid", s.queueID), slog.String("message_id", string(d.MessageID)), slog.String("hash", d.Hash))
	if s.policy.Observe {
		attrs = append(attrs, slog.String("would_be", result(d)))
	}
	if len(d.Stamps) > 0 {
		attrs = append(attrs, permalinks(d.Stamps)...)
	}
	if len(d.Notes) > 0 {
		attrs = append(attrs, slog.String("note", strings.Join(d.Notes, "; ")))
	}
	if d.Err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", d.Err.Error()))
	}
	s.conn.log.LogAttrs(context.Background(), level, what, attrs...)
	for _, e := range d.Edits {
		s.conn.log.Debug("edit", "qid", s.queueID, "op", e.Op.String(), "name", e.Name, "index", e.Index, "value", e.Value)
	}
}

// permalinks returns the stamps as arrays, whose elements of one index belong
// together.
func permalinks(stamps []stamp.Stamp) []slog.Attr {
	all := make([]string, 0, 4*len(stamps))
	column := func(value func(stamp.Stamp) string) []string {
		from := len(all)
		for _, s := range stamps {
			all = append(all, value(s))
		}
		return all[from:len(all):len(all)]
	}
	return []slog.Attr{
		slog.Any("lists", column(func(s stamp.Stamp) string { return s.List })),
		slog.Any("tokens", column(func(s stamp.Stamp) string { return s.Token })),
		slog.Any("outcomes", column(func(s stamp.Stamp) string { return s.Result.Outcome.String() })),
		slog.Any("permalinks", column(func(s stamp.Stamp) string { return s.URL })),
	}
}
