package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Line, Column int    // from 1, the column in bytes; 0 if the file lacks the key
	Key          string // such as archive[1].url; empty for the file itself
	Err          error
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
	at := p.positions.find(key)
	p.all = append(p.all, Problem{at.Line, at.Column, key, err})
}

// covers reports whether the problem is with this key or a table or array
// around it.
func (p Problem) covers(key string) bool {
	rest, found := strings.CutPrefix(key, p.Key)
	return found && p.Key != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// addf is Add for a new error.
func (p *Problems) addf(key, format string, args ...any) {
	p.Add(key, fmt.Errorf(format, args...))
}

// Err returns p, sorted by position, or nil if there is no problem.
func (p *Problems) Err() error {
	if len(p.all) == 0 {
		return nil
	}
	slices.SortStableFunc(p.all, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return p
}

// Error returns one line for each problem: file:line:column: key: error.
func (p *Problems) Error() string {
	var lines []string
	for _, problem := range p.all {
		lines = append(lines, problem.text(p.file))
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the error of each problem.
func (p *Problems) Unwrap() []error {
	var errs []error
	for _, problem := range p.all {
		errs = append(errs, problem.Err)
	}
	return errs
}

func (p Problem) text(file string) string {
	where := file
	if p.Line > 0 {
		where = fmt.Sprintf("%s:%d:%d", file, p.Line, p.Column)
	}
	parts := slices.DeleteFunc([]string{where, p.Key}, func(s string) bool { return s == "" })
	return strings.Join(append(parts, p.Err.Error()), ": ")
}
