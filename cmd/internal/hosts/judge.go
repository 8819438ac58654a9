package hosts

import (
	"fmt"
	"strconv"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest"
	"permalink-milter/registry"
	"permalink-milter/registry/guard"
)

// A Delivery is one message that came out of a host. Token is empty where it
// was not stamped.
type Delivery struct {
	Message Message
	Token   string
}

// ReadDelivery reads a message of the traffic's and checks its fields.
func ReadDelivery(m mtatest.Message) (d Delivery, err error) {
	number, err := strconv.Atoi(strings.Join(m.Header("Subject"), ""))
	if err != nil {
		return d, err
	}
	d.Message = Message(number)
	hashes, links := m.Header("Message-ID-MD5"), m.Header(hashheader.ArchivedAtField)
	if len(hashes) == 0 && len(links) == 0 {
		return d, nil
	}
	if len(hashes) != 1 || len(links) != 1 || hashes[0] != d.Message.Hash() {
		return d, fmt.Errorf("message %d: fields %q %q, want one each, and the hash %s", number, hashes, links, d.Message.Hash())
	}
	url, err := hashheader.ParseArchivedAt(links[0])
	if err != nil {
		return d, err
	}
	token, ours := strings.CutPrefix(url, ArchivePrefix+List+"/")
	if hash, _, err := hashheader.ParseToken(token); !ours || err != nil || hash != d.Message.Hash() {
		return d, fmt.Errorf("message %d: %s is not a permalink of %s", number, url, d.Message.Hash())
	}
	d.Token = token
	return d, nil
}

// A Tally counts what a host delivered.
type Tally struct {
	Delivered, Stamped int
	Right              int // stamped with the token that the registry holds for the message
	Listed             int // stamped with another one, which the conflicts file explains
}

// A View is what a registry holds: tokens by message and messages by token.
type View struct {
	tokens  map[hashheader.Identity]string
	holders map[string]hashheader.Identity
}

// NewView also finds what no registry may hold: a message with two tokens, or
// a token of two messages.
func NewView(all []registry.Reservation) (v View, problems []string) {
	v = View{make(map[hashheader.Identity]string), make(map[string]hashheader.Identity)}
	for _, r := range all {
		if other, known := v.holders[r.Token()]; known {
			problems = append(problems, fmt.Sprintf("%s belongs to %s and to %s", r.Token(), other, r.Identity))
		}
		if other, known := v.tokens[r.Identity]; known {
			problems = append(problems, fmt.Sprintf("%s holds %s and %s", r.Identity, other, r.Token()))
		}
		v.tokens[r.Identity], v.holders[r.Token()] = r.Token(), r.Identity
	}
	return v, problems
}

// Judge holds what one host delivered of the messages 0 to sent-1 against the
// registry. A token may be wrong only where the conflicts file lists it, and
// only on a hash that two messages share; and the file lists nothing else.
func (v View) Judge(sent int, deliveries []Delivery, conflicts []guard.Conflict) (t Tally, problems []string) {
	listed := make(map[string]guard.Conflict)
	for _, c := range conflicts {
		listed[c.Identity] = c
	}
	came := make(map[Message]int)
	for _, d := range deliveries {
		t.Delivered++
		came[d.Message]++
		if d.Token == "" {
			continue
		}
		t.Stamped++
		if v.tokens[d.Message.Identity()] == d.Token {
			t.Right++
			continue
		}
		if problem := v.explain(d, listed[d.Message.Identity().String()]); problem != "" {
			problems = append(problems, problem)
			continue
		}
		t.Listed++
	}
	for n := range Message(sent) {
		if came[n] != 1 {
			problems = append(problems, fmt.Sprintf("message %d came %d times", n, came[n]))
		}
	}
	if len(conflicts) != t.Listed {
		problems = append(problems, fmt.Sprintf("the conflicts file has %d lines for %d wrong tokens", len(conflicts), t.Listed))
	}
	return t, problems
}

// explain tells what a wrong token's conflict leaves unexplained.
func (v View) explain(d Delivery, c guard.Conflict) string {
	id := d.Message.Identity()
	want := guard.Conflict{List: List, Stamped: d.Token, Assigned: v.tokens[id], Identity: id.String(), Holder: v.holders[d.Token].String(),
		Journalled: c.Journalled, Replayed: c.Replayed}
	switch {
	case want.Assigned == "":
		return fmt.Sprintf("message %d, stamped %s, is lost to the registry", d.Message, d.Token)
	case c != want:
		return fmt.Sprintf("message %d has the wrong token %s, and the conflicts file %+v, want %+v", d.Message, d.Token, c, want)
	case !d.Message.Twin():
		return fmt.Sprintf("message %d has the wrong token %s, and no other message its hash", d.Message, d.Token)
	}
	return ""
}
