package trace

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A line is one line of the daemon's log.
type line struct {
	time, level, msg string
	attrs            []attr // the others, in their order
}

// An attr is a key and its values: several for an array.
type attr struct {
	key    string
	values []string
}

// all returns the values of a key.
func (l line) all(key string) []string {
	for _, a := range l.attrs {
		if a.key == key {
			return a.values
		}
	}
	return nil
}

// one returns the value of a key, "" if there is none.
func (l line) one(key string) string { return strings.Join(l.all(key), " ") }

// arrays are the keys whose values are arrays. The text format writes these as
// [a b], and no element holds a space.
var arrays = map[string]bool{"lists": true, "tokens": true, "outcomes": true, "permalinks": true}

// parse reads a line in either format of log.format, also behind what syslog or
// journalctl put before it. It reports false for what is no line of a log.
func parse(text []byte) (l line, ok bool) {
	if i := bytes.Index(text, []byte(`{"time":`)); i >= 0 {
		ok = l.json(text[i:])
	} else if i := bytes.Index(text, []byte("time=")); i >= 0 {
		ok = l.text(string(text[i:]))
	}
	return l, ok && l.msg != ""
}

func (l *line) add(key string, values ...string) {
	switch value := strings.Join(values, " "); key {
	case "time":
		l.time = value
		if at, err := time.Parse(time.RFC3339Nano, value); err == nil { // the formats differ in digits
			l.time = at.Format("2006-01-02T15:04:05.000Z07:00")
		}
	case "level":
		l.level = value
	case "msg":
		l.msg = value
	default:
		l.attrs = append(l.attrs, attr{key, values})
	}
}

// text reads key=value pairs, as slog.TextHandler writes them.
func (l *line) text(s string) bool {
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimLeft(s, " ") {
		key, rest, found := strings.Cut(s, "=")
		if !found {
			return false
		}
		value, after, _ := strings.Cut(rest, " ")
		if quoted, err := strconv.QuotedPrefix(rest); err == nil && rest[0] == '"' {
			value, _ = strconv.Unquote(quoted)
			after = rest[len(quoted):]
		}
		if inner, isArray := strings.CutPrefix(value, "["); isArray && arrays[key] {
			l.add(key, strings.Fields(strings.TrimSuffix(inner, "]"))...)
		} else {
			l.add(key, value)
		}
		s = after
	}
	return true
}

// json reads an object, as slog.JSONHandler writes it.
func (l *line) json(text []byte) bool {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		return false
	}
	for d.More() {
		key, err := d.Token()
		var value any
		if err == nil {
			err = d.Decode(&value)
		}
		name, isText := key.(string)
		if err != nil || !isText {
			return false
		}
		elements, isArray := value.([]any)
		if !isArray {
			elements = []any{value}
		}
		values := make([]string, 0, len(elements))
		for _, e := range elements {
			values = append(values, fmt.Sprint(e))
		}
		l.add(name, values...)
	}
	return true
}
