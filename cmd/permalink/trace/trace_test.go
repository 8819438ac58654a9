package trace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"permalink-milter/hashheader/golden"
)

const (
	list  = "devel@lists.example.org"
	token = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	url   = "https://lists.example.org/devel@lists.example.org/"
)

// write writes a log as the daemon does, at fixed times.
func write(log *slog.Logger) {
	conn := log.With("conn", "1")
	log.Info("starting", "version", "v1", "config", "c.toml", "registry", "bolt:r.db", "archives", []string{"one", "two"})
	stamped := func(qid, id, token, outcome string) {
		conn.Info("message stamped", "qid", qid, "message_id", id, "hash", "VP3JZR3MSKY5TQSMS5FHURHQXI", "lists", []string{list, "users@example.org"},
			"tokens", []string{token, "GZLPKEL44H7JOP7YXWIPYND25DN4RJAO"}, "outcomes", []string{outcome, "held"}, "permalinks", []string{url + token, "https://users.example.org/1"})
	}
	stamped("4XyZ", "abc@example.org", token, "reserved")
	stamped("4XyA", "other@example.org", token+"-2", "journalled")
	log.Info("confirmed", "list", list, "token", token, "url", "https://archive.example.org/1")
	log.Error("a permalink stamped while the registry did not answer is another message's", "list", list, "stamped", token+"-2", "assigned", token+"-3")
	log.Info("confirmed", "list", list, "token", token+"-3", "url", "https://archive.example.org/3")
	conn.Info("message unmarked", "qid", "4XyB", "message_id", "none@example.org", "hash", "", "note", `no archive holds a list of this message; "odd"`)
	conn.Error("message tempfail", "qid", "4XyC", "message_id", "late@example.org", "hash", token, "error", "registry does not answer")
	conn.Warn("message passed unmarked", "qid", "4XyD", "reason", "header_limit")
	log.Info("released", "list", list, "token", token+"-9")
}

// fixed has the handlers write one time.
var fixed = &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		a.Value = slog.TimeValue(time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC))
	}
	return a
}}

var subjects = []string{"4XyZ", "<abc@example.org>", strings.ToLower(token), token + "-2", url + token, "4XyB", "none@example.org", "4XyC", "4XyD", token + "-9", "4xyz", "nothing"}

func TestStoryIsTheSameFromBothFormats(t *testing.T) {
	formats := map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, fixed) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, fixed) },
	}
	for name, handler := range formats {
		for _, prefix := range []string{"", "Nov 24 11:00:00 mx1 permalink-milter[1]: "} {
			var log, out bytes.Buffer
			write(slog.New(handler(&log)))
			text := "no line of a log\n" + prefix + strings.ReplaceAll(strings.TrimSpace(log.String()), "\n", "\n"+prefix) + "\nlast line without end"
			for _, subject := range subjects {
				fmt.Fprintf(&out, "== %s\n", subject)
				s := New(subject, &out)
				if err := s.Read(strings.NewReader(text)); err != nil {
					t.Fatal(err)
				}
				fmt.Fprintf(&out, "%d events\n", s.Events())
			}
			golden.Equal(t, "testdata/story.golden", out.String())
			if t.Failed() {
				t.Fatalf("of the format %s behind %q", name, prefix)
			}
		}
	}
}

// endless is a log of one line.
type endless struct{ left int }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(len(p), e.left)
	e.left -= n
	for i := range n {
		p[i] = 'x'
	}
	return n, nil
}

func TestALineThatIsTooLongIsLeftOut(t *testing.T) {
	var log, out bytes.Buffer
	write(slog.New(slog.NewTextHandler(&log, fixed)))
	s := New("4XyZ", &out)
	if err := s.Read(io.MultiReader(&endless{1 << 24}, strings.NewReader("\n"), &log)); err != nil || s.Events() != 2 {
		t.Errorf("%d events, want that of the message and the confirmation: %v", s.Events(), err)
	}
}

// A token of many messages does not make memory grow with the log.
func TestWhatIsFollowedIsBounded(t *testing.T) {
	var log bytes.Buffer
	l := slog.New(slog.NewTextHandler(&log, fixed))
	for i := range maxFollowed + 10 {
		l.Info("confirmed", "list", fmt.Sprintf("l%d@example.org", i), "token", token, "url", "https://a.example/1")
	}
	s := New(token, io.Discard)
	if err := s.Read(&log); err != nil || s.Events() != maxFollowed+10 || len(s.Permalinks()) != maxFollowed {
		t.Errorf("%d events, %d permalinks, %v", s.Events(), len(s.Permalinks()), err)
	}
}

type full struct{}

var errFull = errors.New("no room")

func (full) Write([]byte) (int, error) { return 0, errFull }

func TestAStoryThatCannotBeWrittenEnds(t *testing.T) {
	var log bytes.Buffer
	write(slog.New(slog.NewTextHandler(&log, fixed)))
	if err := New("4XyZ", full{}).Read(&log); !errors.Is(err, errFull) {
		t.Error(err)
	}
}

// What slog writes is read back, whatever the value is.
func FuzzParse(f *testing.F) {
	f.Add("message stamped", "a b=\"c\"\n", "time=x")
	f.Add("", "{\"time\":", "\xff\x00")
	f.Fuzz(func(t *testing.T, msg, value, text string) {
		parse([]byte(text))
		if msg == "" || !utf8.ValidString(msg) || !utf8.ValidString(value) {
			return
		}
		for _, handler := range []func(io.Writer, *slog.HandlerOptions) slog.Handler{
			func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewTextHandler(w, o) },
			func(w io.Writer, o *slog.HandlerOptions) slog.Handler { return slog.NewJSONHandler(w, o) },
		} {
			var log bytes.Buffer
			slog.New(handler(&log, nil)).Info(msg, "qid", value, "url", "last")
			l, ok := parse(log.Bytes())
			if !ok || l.msg != msg || l.one("qid") != value || l.one("url") != "last" {
				t.Errorf("%q is read as %q, %v", log.Bytes(), l, ok)
			}
		}
	})
}
