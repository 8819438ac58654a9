package config

import (
	"fmt"
	"slices"
	"strings"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	Line, Column int    // from 1, the column in bytes; 0 where the file does not have the key
	Key          string // as archive[1].url; empty for the file itself
	Err          error
}

// Problems are all that is wrong with one configuration. They are an error
// once there is one; see Err. The zero Problems are of no file.
type Problems struct {
	file      string // as messages name it
	positions positions
	all       []Problem
}

// Add adds a problem with a key: milter.listen[0], archive[1].url. Its place
// is the key's, else that of the table around it. The first problem of a key
// counts, for the next ones are likely to follow from it. A nil error adds
// nothing.
func (p *Problems) Add(key string, err error) {
	if err == nil || slices.ContainsFunc(p.all, func(known Problem) bool { return known.covers(key) }) {
		return
	}
	at := p.positions.find(key)
	p.all = append(p.all, Problem{at.Line, at.Column, key, err})
}

// covers tells if the problem is with this key or with what the key is in.
func (p Problem) covers(key string) bool {
	rest, found := strings.CutPrefix(key, p.Key)
	return found && p.Key != "" && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// addf is Add for a new error.
func (p *Problems) addf(key, format string, args ...any) {
	p.Add(key, fmt.Errorf(format, args...))
}

// Err returns p, in the order of the file, or nil where there is no problem.
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

// Error returns a line a problem: file:line:column: key: what is wrong.
func (p *Problems) Error() string {
	var lines []string
	for _, problem := range p.all {
		lines = append(lines, problem.text(p.file))
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns the problems' errors.
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
