// Package trace finds in the daemon's log what happened to a message, and tells
// it in a few lines.
package trace

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// A Permalink is a token on a list.
type Permalink struct{ List, Token string }

// maxFollowed bounds the Message-IDs and the permalinks that are followed, so
// that memory does not grow with a log.
const maxFollowed = 1000

// maxLine bounds a line of the log in bytes; longer ones are left out.
const maxLine = 256 << 10

// A Story is what a log says about a message. Make one with New.
type Story struct {
	subject    string // as it was asked for
	messageID  string // the subject as a Message-ID
	out        io.Writer
	events     int
	ids        []string // Message-IDs of the lines that were about it
	permalinks []Permalink
	err        error // of out
}

// New returns the story of a queue id, a Message-ID, a token, a hash or a URL,
// which is written to out as it is found.
func New(subject string, out io.Writer) *Story {
	return &Story{subject: subject, messageID: string(hashheader.Canonical(nil, subject)), out: out}
}

// Events returns how many lines of the log were about the message.
func (s *Story) Events() int { return s.events }

// Permalinks returns those that the log names for the message.
func (s *Story) Permalinks() []Permalink { return s.permalinks }

// Read reads a log to its end, one line at a time.
func (s *Story) Read(log io.Reader) error {
	r := bufio.NewReaderSize(log, maxLine)
	for s.err == nil {
		text, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			text, err = nil, skipLine(r)
		}
		if l, ok := parse(text); ok && s.concerns(l) {
			s.tell(l)
		}
		if errors.Is(err, io.EOF) {
			return s.err
		}
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
	}
	return s.err
}

// skipLine skips the rest of a line.
func skipLine(r *bufio.Reader) error {
	for {
		if _, err := r.ReadSlice('\n'); !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// concerns reports whether a line is about the message, and notes what it names.
// Another message that shares a permalink is not the message.
func (s *Story) concerns(l line) bool {
	names, id := permalinksOf(l), l.one("message_id")
	known := slices.ContainsFunc(names, s.follows)
	if id != "" {
		known = slices.Contains(s.ids, id)
	}
	if !known && !s.isSubject(l) {
		return false
	}
	if id != "" && len(s.ids) < maxFollowed && !slices.Contains(s.ids, id) {
		s.ids = append(s.ids, id)
	}
	for _, p := range names {
		if len(s.permalinks) < maxFollowed && !s.follows(p) {
			s.permalinks = append(s.permalinks, p)
		}
	}
	return true
}

func (s *Story) follows(p Permalink) bool { return slices.Contains(s.permalinks, p) }

// subjectKeys are the keys whose value may be what was asked for.
var subjectKeys = []string{"qid", "hash", "tokens", "token", "stamped", "assigned", "other_token", "permalinks", "url"}

func (s *Story) isSubject(l line) bool {
	if id := l.one("message_id"); id != "" && id == s.messageID {
		return true
	}
	for _, key := range subjectKeys {
		if slices.ContainsFunc(l.all(key), func(v string) bool { return v != "" && s.named(key, v) }) {
			return true
		}
	}
	return false
}

// named reports whether a value is what was asked for. Hashes and tokens have no
// case, but queue ids and URLs do.
func (s *Story) named(key, value string) bool {
	if key == "qid" || key == "permalinks" || key == "url" {
		return value == s.subject
	}
	return strings.EqualFold(value, s.subject)
}

// permalinksOf returns the permalinks that a line names.
func permalinksOf(l line) (all []Permalink) {
	lists := l.all("lists")
	for i, token := range l.all("tokens") {
		if i < len(lists) {
			all = append(all, Permalink{lists[i], token})
		}
	}
	for _, key := range []string{"token", "stamped", "assigned"} {
		if token := l.one(key); token != "" {
			all = append(all, Permalink{l.one("list"), token})
		}
	}
	return all
}

// results says what the results of a message mean.
var results = map[string]string{
	"message stamped":         "stamped",
	"message unchanged":       "had the right fields already",
	"message unmarked":        "passed unmarked",
	"message passed unmarked": "passed unmarked",
	"message tempfail":        "refused for now; the sender tries again",
}

// tell writes what a line says.
func (s *Story) tell(l line) {
	s.events++
	result, isMessage := results[l.msg]
	if !isMessage {
		s.printf("%s %s%s\n", l.time, l.msg, rest(l))
		return
	}
	id := "a message"
	if l.one("message_id") != "" {
		id = "<" + l.one("message_id") + ">"
	}
	s.printf("%s queue id %s: %s %s (connection %s)\n", l.time, cmp.Or(l.one("qid"), "unknown"), id, result, cmp.Or(l.one("conn"), "unknown"))
	s.tellPermalinks(l)
	for _, key := range []string{"reason", "error"} {
		if text := l.one(key); text != "" {
			s.printf("  %s: %s\n", key, text)
		}
	}
}

func (s *Story) tellPermalinks(l line) {
	lists, outcomes, urls := l.all("lists"), l.all("outcomes"), l.all("permalinks")
	tokens := l.all("tokens")
	for i, token := range tokens {
		if i < len(lists) && i < len(outcomes) && i < len(urls) {
			s.printf("  %s: %s %s, %s\n", lists[i], outcomes[i], token, urls[i])
		}
	}
	switch note := l.one("note"); {
	case note != "" && len(tokens) == 0:
		s.printf("  no permalink: %s\n", note)
	case note != "":
		s.printf("  note: %s\n", note)
	}
}

// rest returns the attributes of a line that is not of a message.
func rest(l line) string {
	var b strings.Builder
	for _, a := range l.attrs {
		fmt.Fprintf(&b, ", %s %s", a.key, strings.Join(a.values, " "))
	}
	return strings.Replace(b.String(), ",", ":", 1)
}

// printf writes text that a terminal may show: a log holds what strangers sent.
func (s *Story) printf(format string, args ...any) {
	if s.err != nil {
		return
	}
	for i, a := range args {
		if text, isText := a.(string); isText {
			args[i] = hashheader.Printable(text)
		}
	}
	_, s.err = fmt.Fprintf(s.out, format, args...)
}
