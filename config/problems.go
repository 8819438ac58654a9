package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Line, Column int    // from 1, the column in bytes; 0 if the file lacks the key
	Key          string // such as archive[1].url; empty for the file itself
	Err          error
	Warning      bool // the daemon starts all the same
}

// A Hint is an error with what to do about it.
type Hint struct {
	Err error
	Do  string
}

func (h *Hint) Error() string { return h.Err.Error() + ": " + h.Do }
func (h *Hint) Unwrap() error { return h.Err }

// Message returns what is wrong, and what to do about it where that can be told
// apart.
func (p Problem) Message() (message, hint string) {
	if h, ok := p.Err.(*Hint); ok {
		return h.Err.Error(), h.Do
	}
	text := p.Err.Error()
	if i := strings.LastIndex(text, ": write "); i >= 0 {
		return text[:i], text[i+2:]
	}
	return text, ""
}

// Problems collects what is wrong with one configuration, so that all of it is
// reported at once. Err returns it as an error.
type Problems struct {
	file      string // how messages name it
	positions positions
	all       []Problem
}

// Add adds a problem with a key, such as milter.listen[0] or archive[1].url.
// Its position is that of the key, or of the table around it where the file
// lacks the key. Only the first problem of a key is kept, because later ones
// usually follow from it. A nil error adds nothing.
func (p *Problems) Add(key string, err error) {
	if err == nil || slices.ContainsFunc(p.all, func(known Problem) bool { return known.covers(key) }) {
		return
	}
	p.add(key, err, false)
}

// AddWarning adds a warning, which Err does not return.
func (p *Problems) AddWarning(key string, err error) {
	if err != nil {
		p.add(key, err, true)
	}
}

func (p *Problems) add(key string, err error, warning bool) {
	at := p.positions.find(key)
	p.all = append(p.all, Problem{at.Line, at.Column, key, err, warning})
}

// covers reports whether the problem is with this key or a table or array
// around it.
func (p Problem) covers(key string) bool {
	rest, found := strings.CutPrefix(key, p.Key)
	return found && p.Key != "" && !p.Warning && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// addf is Add for a new error.
func (p *Problems) addf(key, format string, args ...any) {
	p.Add(key, fmt.Errorf(format, args...))
}

// Err returns p, or nil if there is nothing but warnings.
func (p *Problems) Err() error {
	if len(p.errors()) == 0 {
		return nil
	}
	return p
}

// All returns the problems and warnings, sorted by position.
func (p *Problems) All() []Problem {
	slices.SortStableFunc(p.all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return p.all
}

func (p *Problems) errors() []Problem {
	return slices.DeleteFunc(slices.Clone(p.All()), func(problem Problem) bool { return problem.Warning })
}

// File returns how messages name the file.
func (p *Problems) File() string { return p.file }

// Error returns one line for each problem: file:line:column: key: error.
func (p *Problems) Error() string {
	var lines []string
	for _, problem := range p.errors() {
		lines = append(lines, problem.Text(p.file))
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the error of each problem.
func (p *Problems) Unwrap() []error {
	var errs []error
	for _, problem := range p.errors() {
		errs = append(errs, problem.Err)
	}
	return errs
}

// Text returns one line: file:line:column: key: error.
func (p Problem) Text(file string) string {
	where := file
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column)
	}
	parts := slices.DeleteFunc([]string{where, p.Key}, func(s string) bool { return s == "" })
	return strings.Join(append(parts, strings.ReplaceAll(p.Err.Error(), "\n", "; ")), ": ")
}
