package main

import (
	"bytes"
	"slices"
	"strings"

	"permalink-milter/cmd/permalink/mailbox"
	"permalink-milter/milter"
)

// edit applies a decision's edits to a message as an MTA does: indexes count
// the fields of one name from 1, additions go to the end of the header.
func edit(raw mailbox.Raw, edits []milter.Edit) []byte {
	eol := raw.EOL()
	fields := slices.Clone(raw.Fields)
	for _, e := range edits {
		switch i := nth(fields, e.Name, e.Index); {
		case e.Op == milter.Add:
			fields = append(endLine(fields, eol), field(e, eol))
		case i < 0:
		case e.Op == milter.Delete:
			fields = slices.Delete(fields, i, i+1)
		default:
			fields[i] = field(e, eol)
		}
	}
	return slices.Concat(raw.Envelope, bytes.Join(fields, nil), raw.Rest)
}

// endLine gives the last field a line end where the message ended in it.
func endLine(fields [][]byte, eol string) [][]byte {
	if n := len(fields); n > 0 && !bytes.HasSuffix(fields[n-1], []byte{'\n'}) {
		fields[n-1] = append(slices.Clip(fields[n-1]), eol...)
	}
	return fields
}

// nth finds the index-th field of a name, -1 where there is none.
func nth(fields [][]byte, name string, index int) int {
	for i, f := range (mailbox.Raw{Fields: fields}).Header() {
		if f.Is(name) {
			if index--; index == 0 {
				return i
			}
		}
	}
	return -1
}

// field writes the line or lines of an added field.
func field(e milter.Edit, eol string) []byte {
	return []byte(e.Name + ": " + strings.ReplaceAll(e.Value, "\n", eol) + eol)
}
