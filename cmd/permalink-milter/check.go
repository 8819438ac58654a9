package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"permalink-milter/config"
)

// A finding is one problem, as --check --json prints it.
type finding struct {
	Level   string `json:"level"` // error or warning
	Key     string `json:"key"`
	Message string `json:"message"`
	Hint    string `json:"hint"`
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
}

// check reports everything that keeps the daemon from starting with a
// configuration, and what else deserves attention: in the file, and on the host.
func check(ctx context.Context, file string, asJSON bool, std stdio) error {
	c, _, problems := loadAll(file)
	code := exitUnavailable
	if problems.Err() != nil {
		code = exitConfig
	}
	if c != nil {
		host := newHost(file, c, problems)
		host.check(ctx)
		if host.refused {
			code = exitConfig
		}
	}
	if err := printFindings(problems, asJSON, std); err != nil {
		return err
	}
	if problems.Err() != nil {
		return &exitError{code, nil}
	}
	if !asJSON {
		fmt.Fprintf(std.out, "%s: configuration is valid\n", problems.File())
	}
	return nil
}

// printFindings prints all problems, as lines of JSON to standard output or as
// text to standard error.
func printFindings(problems *config.Problems, asJSON bool, std stdio) error {
	for _, p := range problems.All() {
		var err error
		if asJSON {
			err = printFinding(std.out, problems.File(), p)
		} else {
			_, err = fmt.Fprintln(std.err, text(problems.File(), p))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func printFinding(w io.Writer, file string, p config.Problem) error {
	f := finding{Level: "error", Key: p.Key, File: file, Line: p.Line, Column: p.Column}
	if p.Warning {
		f.Level = "warning"
	}
	f.Message, f.Hint = p.Message()
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(f)
}

func text(file string, p config.Problem) string {
	if p.Warning {
		return "warning: " + p.Text(file)
	}
	return p.Text(file)
}
