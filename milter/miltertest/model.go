package miltertest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The bits of the negotiation that the model knows.
const (
	addHeaders     = 0x1
	changeHeaders  = 0x10
	setSymList     = 0x100
	noHeaderReply  = 0x80
	noConnReply    = 0x1000
	noMailReply    = 0x4000
	noRcptReply    = 0x8000
	editing        = addHeaders | changeHeaders
	highestVersion = 6
	lowestVersion  = 2
	allowedActions = editing | setSymList
)

// ErrReply is wrapped by all errors of Check.
var ErrReply = errors.New("wrong reply")

// Check returns an error unless replies are what a milter that stamps Message-ID-MD5 and never rejects may answer to an MTA that sends
// this stream. maxFields and maxBytes are the server's limits for one message, over which no edits are due.
//
// One reply for each command but those that get none; edits at the end of a message alone, of our fields, within the
// agreed actions; then "continue". After bytes that are not a packet the milter says nothing more.
func Check(stream []byte, replies []Packet, maxFields, maxBytes int) error {
	m := &model{replies: replies, maxFields: maxFields, maxBytes: maxBytes}
	r := bytes.NewReader(stream)
	for more := true; more; {
		p, err := Read(r)
		if err != nil {
			break
		}
		if more, err = m.command(p); err != nil {
			return fmt.Errorf("%w to %c %.200q: %w", ErrReply, p.Code, p.Data, err)
		}
	}
	if len(m.replies) > 0 {
		return fmt.Errorf("%w: %d too many, the first is %s", ErrReply, len(m.replies), m.replies[0])
	}
	return nil
}

type model struct {
	replies             []Packet
	maxFields, maxBytes int
	agreed              Negotiation // Version is 0 before
	message             message
	macros              macros
}

// A macros packet is for the next command of its letter.
type macros struct {
	command byte
	msgID   string
}

// next takes the next reply.
func (m *model) next() (Packet, error) {
	if len(m.replies) == 0 {
		return Packet{}, errors.New("none")
	}
	p := m.replies[0]
	m.replies = m.replies[1:]
	return p, nil
}

// command checks the replies to one packet. more is false when the milter has to end the connection.
func (m *model) command(p Packet) (more bool, err error) {
	if m.agreed.Version == 0 {
		return m.negotiate(p)
	}
	m.take(p)
	switch p.Code {
	case 'A', 'K':
		return true, nil
	case 'D':
		return len(p.Data) > 0, nil
	case 'E':
		return true, m.end()
	case 'B', 'C', 'H', 'L', 'M', 'N', 'R', 'T', 'U':
		if m.silent(p.Code) {
			return true, nil
		}
		return true, m.proceed()
	}
	return false, nil // quit, a second negotiation, or unknown
}

func (m *model) silent(code byte) bool {
	bits := map[byte]uint32{'C': noConnReply, 'M': noMailReply, 'R': noRcptReply, 'L': noHeaderReply}
	return m.agreed.Protocol&bits[code] != 0
}

func (m *model) proceed() error {
	got, err := m.next()
	if err == nil && got.String() != "continue" {
		err = fmt.Errorf("%s, want continue", got)
	}
	return err
}

func (m *model) negotiate(p Packet) (more bool, err error) {
	offer, rest, ok := ParseNegotiation(p.Data)
	if p.Code != 'O' || !ok || len(rest) != 0 || offer.Version < lowestVersion {
		return false, nil
	}
	got, err := m.next()
	if err != nil {
		return false, err
	}
	answer, list, ok := ParseNegotiation(got.Data)
	switch {
	case got.Code != 'O' || !ok:
		return false, fmt.Errorf("%s, want a negotiation", got)
	case answer.Version != min(offer.Version, highestVersion):
		return false, fmt.Errorf("version %d", answer.Version)
	case answer.Actions&^offer.Actions != 0 || answer.Protocol&^offer.Protocol != 0:
		return false, fmt.Errorf("%s takes more than was offered: %#x %#x", got, offer.Actions, offer.Protocol)
	case answer.Actions&^allowedActions != 0:
		return false, fmt.Errorf("%s takes actions that no stamp needs", got)
	case len(list) > 0 && answer.Actions&setSymList == 0:
		return false, errors.New("a list of macros that was not agreed on")
	}
	m.agreed = answer
	return true, nil
}

// take records what the packet says about the message.
func (m *model) take(p Packet) {
	t := &m.message
	switch p.Code {
	case 'D':
		m.macros = parseMacros(p.Data)
	case 'M':
		*t = message{begun: true}
	case 'A', 'K':
		*t, m.macros = message{}, macros{}
	case 'L':
		f, ok := parseField(p.Data)
		f.Name = strings.TrimRight(f.Name, " \t") // RFC 5322, section 4.5
		t.odd = t.odd || !ok || f.Name == ""
		t.fields = append(t.fields, heldField{Field: f})
		t.count++
		t.bytes += len(f.Name) + len(f.Value)
	}
	if strings.IndexByte("MRE", p.Code) >= 0 && p.Code == m.macros.command && m.macros.msgID != "" {
		t.mtaID, m.macros = m.macros.msgID, macros{}
	}
}

func parseMacros(data []byte) (out macros) {
	if len(data) == 0 {
		return out
	}
	out.command = data[0]
	parts := strings.Split(strings.Trim(string(data[1:]), "\x00"), "\x00")
	for i := 0; i+1 < len(parts); i += 2 {
		if parts[i] == "{msg_id}" {
			out.msgID = parts[i+1]
		}
	}
	return out
}

// end checks the replies to the end of a message: edits that lead to a stamped one, and "continue".
func (m *model) end() error {
	message := m.message
	m.message.begun, m.message.fields = false, nil
	edits, err := m.edits()
	if err != nil {
		return err
	}
	if m.agreed.Actions&addHeaders == 0 || !message.begun {
		if len(edits) > 0 {
			return fmt.Errorf("%d edits that were not agreed on", len(edits))
		}
		return nil
	}
	if m.agreed.Actions&changeHeaders == 0 {
		if slices.ContainsFunc(edits, func(p Packet) bool { return p.Code == 'm' }) {
			return errors.New("a field is changed, which was not agreed on")
		}
		if len(edits) == 0 {
			return nil // there may have been something to delete
		}
	}
	if message.odd || message.count > m.maxFields || message.bytes > m.maxBytes {
		return nil // it may pass unmarked
	}
	for _, renumber := range []bool{true, false} {
		if err := message.check(edits, renumber); err != nil {
			return fmt.Errorf("with indexes renumbered %v: %w", renumber, err)
		}
	}
	return nil
}

// edits takes the replies up to "continue".
func (m *model) edits() (edits []Packet, err error) {
	for {
		got, err := m.next()
		if err != nil || got.String() == "continue" {
			return edits, err
		}
		edits = append(edits, got)
	}
}
