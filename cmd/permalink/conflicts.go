package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry/guard"
)

// printConflicts prints the conflicts that the replay of the daemon's journal
// found. The daemon may run meanwhile.
func (o *lookupOptions) printConflicts(std stdio) error {
	c, err := loadConfig(o.config)
	if err != nil {
		return err
	}
	e := json.NewEncoder(std.out)
	for conflict, err := range guard.Conflicts(filepath.Join(c.StateDir, "journal")) {
		if err == nil && o.list != "" && !strings.EqualFold(conflict.List, o.list) {
			continue
		}
		switch {
		case err != nil:
		case o.json:
			err = e.Encode(conflict)
		default:
			_, err = fmt.Fprintln(std.out, conflictLine(conflict))
		}
		if err != nil {
			return &exitError{exitTemporary, err}
		}
	}
	return nil
}

// conflictLine returns a conflict in the form for people, safe for a terminal.
func conflictLine(c guard.Conflict) string {
	assigned := c.Assigned
	if assigned == "" {
		assigned = "-"
	}
	return hashheader.Printable(strings.Join([]string{c.List, c.Stamped, assigned, c.Identity, c.Journalled.Format(time.RFC3339)}, " "))
}
