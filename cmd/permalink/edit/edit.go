// Package edit applies a decision's edits to the bytes of a message, as an MTA
// applies those of a milter.
package edit

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry/stamp"
)

// A Raw is a message in parts. Joined, they are the message byte for byte.
type Raw struct {
	Envelope []byte   // what stands before the header section: From_ lines, a byte order mark
	Fields   [][]byte // each with its folds and line ends
	Rest     []byte   // what was read behind the header section
	Header   hashheader.Header
	Warning  error // of a message that is a whole input; see mailbox.Ending
}

// Read reads the start of a message of a source of this format, its header
// section at least, and leaves the rest in r. It returns mailbox.ErrNotMail for
// what has no header section, and mailbox.ErrCut where an mbox ends within it.
func Read(r io.Reader, format mailbox.Format) (raw Raw, err error) {
	data, section, err := hashheader.ReadSection(r, nil)
	switch {
	case err != nil:
		return Raw{}, err
	case len(section.Spans) == 0:
		return Raw{}, mailbox.ErrNotMail
	}
	raw = newRaw(data, section)
	raw.Warning = mailbox.Ending(data, &section, format)
	if errors.Is(raw.Warning, mailbox.ErrCut) {
		return Raw{}, raw.Warning
	}
	return raw, nil
}

func newRaw(data []byte, section hashheader.Section) Raw {
	raw := Raw{Envelope: data[:section.Start], Rest: data[section.End:], Header: section.Header(data)}
	for _, span := range section.Spans {
		raw.Fields = append(raw.Fields, data[span.Name:span.End])
	}
	return raw
}

// Start returns the bytes that were read.
func (r Raw) Start() []byte {
	return slices.Concat(r.Envelope, bytes.Join(r.Fields, nil), r.Rest)
}

// EOL returns the line end of the message's first line.
func (r Raw) EOL() string {
	start := r.Start()
	if end := bytes.IndexByte(start, '\n'); end > 0 && start[end-1] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// Apply returns the start of the message with the edits made. Indexes count the
// fields of one name from 1; additions go to the end of the header.
func (r Raw) Apply(edits []stamp.Edit) []byte {
	eol := r.EOL()
	fields := slices.Clone(r.Fields)
	named := r.positions()
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
	return slices.Concat(r.Envelope, bytes.Join(inserted, nil), bytes.Join(fields, nil), r.Rest)
}

// endLine ends the line of the last field where the message ended in it.
func endLine(fields [][]byte, eol string) [][]byte {
	if n := len(fields); n > 0 && !bytes.HasSuffix(fields[n-1], []byte{'\n'}) {
		fields[n-1] = append(slices.Clip(fields[n-1]), eol...)
	}
	return fields
}

// positions returns where the fields of each name, in lower case, are. One pass
// serves all edits, of which a hostile header may need thousands.
func (r Raw) positions() map[string][]int {
	at := make(map[string][]int)
	for i, f := range r.Header {
		name := strings.ToLower(f.Name)
		at[name] = append(at[name], i)
	}
	return at
}

// field returns the line or lines of a new field.
func field(e stamp.Edit, eol string) []byte {
	return []byte(e.Name + ": " + strings.ReplaceAll(e.Value, "\n", eol) + eol)
}
