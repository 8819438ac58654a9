package main

import (
	"bytes"
	"slices"
	"strings"

	"permalink-milter/cmd/permalink/mailbox"
	"permalink-milter/registry/stamp"
)

// edit applies a decision's edits to a message as an MTA does: indexes count
// the fields of one name from 1, additions go to the end of the header.
func edit(raw mailbox.Raw, edits []stamp.Edit) []byte {
	eol := raw.EOL()
	fields := slices.Clone(raw.Fields)
	named := positions(raw)
	var inserted, added [][]byte
	for _, e := range edits {
		at := named[strings.ToLower(e.Name)]
		switch {
		case e.Op == stamp.Add:
			added = append(added, field(e, eol))
		case e.Op == stamp.Insert:
			inserted = append([][]byte{field(e, eol)}, inserted...)
		case e.Index > len(at):
		case e.Op == stamp.Delete:
			fields[at[e.Index-1]] = nil
		default:
			fields[at[e.Index-1]] = field(e, eol)
		}
	}
	fields = slices.DeleteFunc(fields, func(f []byte) bool { return f == nil })
	if len(added) > 0 {
		fields = append(endLine(fields, eol), added...)
	}
	return slices.Concat(raw.Envelope, bytes.Join(inserted, nil), bytes.Join(fields, nil), raw.Rest)
}

// endLine gives the last field a line end where the message ended in it.
func endLine(fields [][]byte, eol string) [][]byte {
	if n := len(fields); n > 0 && !bytes.HasSuffix(fields[n-1], []byte{'\n'}) {
		fields[n-1] = append(slices.Clip(fields[n-1]), eol...)
	}
	return fields
}

// positions tells where the fields of each name are, lower case. One pass
// serves all edits: a hostile header has a hundred thousand fields to delete.
func positions(raw mailbox.Raw) map[string][]int {
	at := make(map[string][]int)
	for i, f := range raw.Header {
		name := strings.ToLower(f.Name)
		at[name] = append(at[name], i)
	}
	return at
}

// field writes the line or lines of an added field.
func field(e stamp.Edit, eol string) []byte {
	return []byte(e.Name + ": " + strings.ReplaceAll(e.Value, "\n", eol) + eol)
}
