package miltertest

import (
	"crypto/md5"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
)

// A message is what the model knows of the one in progress.
type message struct {
	begun  bool
	fields []heldField
	count  int    // of packets that are fields
	bytes  int    // of the names and values of fields
	mtaID  string // the Message-ID that the MTA will add
	odd    bool   // it holds a field that is not two C strings
}

type heldField struct {
	Field
	deleted bool
}

// check makes the edits as Postfix does, which counts the fields anew after a deletion, or as Sendmail, which does
// not, and checks the message that is left.
func (t message) check(edits []Packet, renumber bool) error {
	t.fields = slices.Clone(t.fields)
	hadID := slices.ContainsFunc(t.fields, func(f heldField) bool { return strings.EqualFold(f.Name, "Message-ID") })
	for _, p := range edits {
		if err := t.edit(p, renumber); err != nil {
			return err
		}
	}
	if !hadID && canonical(t.mtaID) != "" {
		t.fields = append([]heldField{{Field: Field{"Message-ID", t.mtaID}}}, t.fields...)
	}
	return t.stamped()
}

// ours are the fields that edits may touch.
var ours = map[string]bool{"message-id": true, "message-id-md5": true, "archived-at": true, "x-message-id-hash": true, "date": true}

func (t *message) edit(p Packet, renumber bool) error {
	switch p.Code {
	case 'h':
		f, ok := parseField(p.Data)
		if err := checkEdit(f, ok); err != nil {
			return err
		}
		t.fields = append(t.fields, heldField{Field: f})
		return nil
	case 'i':
		_, f, ok := parseIndexed(p.Data)
		if err := checkEdit(f, ok); err != nil {
			return err
		}
		t.fields = append([]heldField{{Field: f}}, t.fields...)
		return nil
	case 'm':
		index, f, ok := parseIndexed(p.Data)
		if err := checkEdit(f, ok); err != nil {
			return err
		}
		return t.change(int(index), f, renumber)
	}
	return fmt.Errorf("%s, want an edit of a field or continue", p)
}

func checkEdit(f Field, ok bool) error {
	unfolded := strings.NewReplacer("\n ", "", "\n\t", "").Replace(f.Value)
	if !ok || !ours[strings.ToLower(f.Name)] || strings.ContainsAny(unfolded, "\r\n") {
		return fmt.Errorf("edit %q: not of our fields, or more than one field", f)
	}
	return nil
}

// change sets a field; an empty value deletes it.
func (t *message) change(index int, f Field, renumber bool) error {
	for i := range t.fields {
		have := &t.fields[i]
		if !strings.EqualFold(have.Name, f.Name) || have.deleted && renumber {
			continue
		}
		if index--; index == 0 {
			have.Value, have.deleted = f.Value, f.Value == ""
			return nil
		}
	}
	return fmt.Errorf("edit of %s: there is no such field", f.Name)
}

// stamped checks the message as it is after the edits.
func (t *message) stamped() error {
	var ids, hashes []string
	for _, f := range t.fields {
		if f.deleted {
			continue
		}
		switch strings.ToLower(f.Name) {
		case "message-id":
			ids = append(ids, f.Value)
		case "message-id-md5":
			hashes = append(hashes, strings.Trim(f.Value, " \t\r\n"))
		}
	}
	id := ""
	for _, value := range ids {
		if id = canonical(value); id != "" {
			break
		}
	}
	if len(id) > maxID && len(hashes) == 0 {
		return nil
	}
	if id == "" || len(id) > maxID || len(hashes) != 1 {
		return fmt.Errorf("the message ends with Message-ID %q, Message-ID-MD5 %q", ids, hashes)
	}
	sum := md5.Sum([]byte(id))
	if want := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:]); hashes[0] != want {
		return fmt.Errorf("Message-ID-MD5 %s for %q, want %s", hashes[0], id, want)
	}
	return nil
}

// maxID is the length of the longest id that names a message.
const maxID = 998

// canonical is rule 1 of the hash in another wording than the server's.
func canonical(id string) string {
	id = strings.Join(strings.FieldsFunc(id, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }), "")
	if inner, ok := strings.CutPrefix(id, "<"); ok && strings.HasSuffix(inner, ">") {
		return strings.TrimSuffix(inner, ">")
	}
	return id
}
