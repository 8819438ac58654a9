package stamp

import (
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// An Op is what an Edit does.
type Op uint8

// The operations, as the milter protocol has them.
const (
	Add     Op = iota // a field at the end of the header
	Insert            // a field at the top of the header
	Replace           // the value of the Index-th field of the name
	Delete            // the Index-th field of the name
)

// String returns the operation's name for logs.
func (o Op) String() string { return [...]string{"add", "insert", "replace", "delete"}[o] }

// An Edit is one change of the header. Indexes count the fields of one name
// from 1. Within a decision deletions come first, from the highest index
// down, which is right both on MTAs that renumber after each deletion and on
// those that do not.
type Edit struct {
	Op    Op
	Name  string
	Index int
	Value string
}

// finish makes the edits that lead from the fields that are there to those
// that should be. It is the border rule, as RFC 8601, section 5, has it for its
// own field: a field that carries one of our names or lies under one of our
// templates is right, or it goes.
func (d *Decision) finish(m *Message, p *Policy) {
	var deletions, additions []Edit
	write := len(d.MessageID) > 0 && (d.matched || p.HashUnmatched)
	for _, name := range p.Emit {
		a, _ := hashheader.FieldAlgorithm(name)
		hash := ""
		if len(d.MessageID) > 0 {
			hash, _ = a.Hash(d.MessageID) // NewPolicy checked that it may be computed
		}
		drop, found := wrong(m.Header, name, hash)
		deletions = append(deletions, drop...)
		if !write {
			continue
		}
		d.Fields = append(d.Fields, hashheader.Field{Name: name, Value: hash})
		if !found {
			additions = append(additions, Edit{Op: Add, Name: name, Value: hash})
		}
	}
	for _, name := range p.Remove {
		if !slices.ContainsFunc(p.Emit, hashheader.Field{Name: name}.Is) {
			drop, _ := wrong(m.Header, name, "")
			deletions = append(deletions, drop...)
		}
	}
	drop, add := d.archivedAt(m.Header, p)
	d.Edits = slices.Concat(deletions, drop, d.Edits, additions, add)
}

// wrong returns deletions of the fields of a name, highest index first: of all
// but the first that has the right value. No value is right if it is empty.
func wrong(h hashheader.Header, name, right string) (deletions []Edit, found bool) {
	keep := func(value string) bool {
		if found || right == "" || strings.Trim(value, " \t\r\n") != right {
			return false
		}
		found = true
		return true
	}
	return deleteUnless(h, name, keep), found
}

// deleteUnless returns deletions of the fields of a name whose value keep does
// not accept, highest index first.
func deleteUnless(h hashheader.Header, name string, keep func(value string) bool) (deletions []Edit) {
	index := 0
	for _, f := range h {
		if !f.Is(name) {
			continue
		}
		if index++; !keep(f.Value) {
			deletions = append(deletions, Edit{Op: Delete, Name: name, Index: index})
		}
	}
	slices.Reverse(deletions)
	return deletions
}

// archivedAt compares the Archived-At fields with the permalinks. Fields of
// other sites stay (RFC 5064, section 2.2). Ours go above them: a DKIM
// signature over archived-at covers the lowest ones (RFC 6376, section 5.4.2).
func (d *Decision) archivedAt(h hashheader.Header, p *Policy) (deletions, additions []Edit) {
	var kept []string
	others := false
	deletions = deleteUnless(h, hashheader.ArchivedAtField, func(value string) bool {
		if len(d.Stamps) > 0 && strings.Trim(value, "<> \t\r\n") == "" {
			return false // Mailman writes <> where its archiver is down
		}
		if !p.ours(value) {
			others = true
			return true
		}
		url, err := hashheader.ParseArchivedAt(value)
		if err != nil || !d.stamped(url) || slices.Contains(kept, url) {
			return false
		}
		kept = append(kept, url)
		return true
	})
	for _, s := range d.Stamps {
		field := hashheader.Field{Name: hashheader.ArchivedAtField, Value: hashheader.ArchivedAt(s.URL)}
		d.Fields = append(d.Fields, field)
		if slices.Contains(kept, s.URL) {
			continue
		}
		kept = append(kept, s.URL)
		edit := Edit{Op: Add, Name: field.Name, Value: field.Value}
		if others {
			edit.Op = Insert
		}
		additions = append(additions, edit)
	}
	if others {
		slices.Reverse(additions) // each goes above the one before
	}
	return deletions, additions
}

func (d *Decision) stamped(url string) bool {
	return slices.ContainsFunc(d.Stamps, func(s Stamp) bool { return s.URL == url })
}

// ours reports whether the value of an Archived-At field lies under one of our
// templates.
func (p *Policy) ours(value string) bool {
	return slices.ContainsFunc(p.Archives, func(a Archive) bool { return a.URL.Covers(value) })
}
