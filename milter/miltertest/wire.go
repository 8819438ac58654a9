// Package miltertest plays an MTA, good or bad, to a milter: scripts of the packets that it sends and of the replies
// that it expects (Parse, Script.Run), a model of the replies that any stream of bytes must get (Check), and a recorder of
// real MTAs' sessions (Record) that Play sends again.
//
// It knows the wire format of the milter protocol, versions 2 to 6, as Sendmail's include/libmilter/mfdef.h has it,
// and shares no code with the server that it tests. It knows nothing of testing: functions return errors.
package miltertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxPacket is the most that a packet may hold: the command's byte and its data.
const maxPacket = 1 << 20

// A Packet is one command of the MTA or one reply of the milter.
type Packet struct {
	Code byte
	Data []byte
}

// Append appends the packet as it is on the wire: a length of four bytes, the code, the data.
func (p Packet) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(1+len(p.Data)))
	dst = append(dst, p.Code)
	return append(dst, p.Data...)
}

// ErrFrame is wrapped by Read for a packet that no milter has to take.
var ErrFrame = errors.New("not a milter packet")

// Read reads one packet. Its error is io.EOF between packets and io.ErrUnexpectedEOF within one.
func Read(r io.Reader) (p Packet, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:4]); err != nil {
		return p, err
	}
	n := binary.BigEndian.Uint32(head[:4])
	if n == 0 || n > maxPacket {
		return p, fmt.Errorf("%w: %d bytes", ErrFrame, n)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return p, io.ErrUnexpectedEOF
	}
	return Packet{data[0], data[1:]}, nil
}

// cstrings is the format of most packets' data.
func cstrings(parts ...string) []byte {
	return []byte(strings.Join(parts, "\x00") + "\x00")
}

// A Negotiation is the data of an SMFIC_OPTNEG packet: what an MTA offers, or what the milter takes of it.
type Negotiation struct{ Version, Actions, Protocol uint32 }

// Packet returns the negotiation as an MTA sends it.
func (n Negotiation) Packet() Packet {
	data := binary.BigEndian.AppendUint32(nil, n.Version)
	data = binary.BigEndian.AppendUint32(data, n.Actions)
	return Packet{'O', binary.BigEndian.AppendUint32(data, n.Protocol)}
}

// ParseNegotiation reads the data of an SMFIC_OPTNEG packet; rest is what follows, the milter's list of macros.
func ParseNegotiation(data []byte) (n Negotiation, rest []byte, ok bool) {
	if len(data) < 12 {
		return n, nil, false
	}
	return Negotiation{binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:]), binary.BigEndian.Uint32(data[8:])}, data[12:], true
}

// String renders a milter's reply as scripts write it.
func (p Packet) String() string {
	switch p.Code {
	case 'O':
		if n, _, ok := ParseNegotiation(p.Data); ok {
			return fmt.Sprintf("negotiated %d %#x %#x", n.Version, n.Actions, n.Protocol)
		}
	case 'c':
		if len(p.Data) == 0 {
			return "continue"
		}
	case 't':
		return "tempfail"
	case 'y':
		return "reply " + strings.TrimSuffix(string(p.Data), "\x00")
	case 'h':
		if f, ok := parseField(p.Data); ok {
			return "add " + f.String()
		}
	case 'm':
		if index, f, ok := parseIndexed(p.Data); ok && f.Value == "" {
			return fmt.Sprintf("delete %d %s", index, f.Name)
		} else if ok {
			return fmt.Sprintf("change %d %s", index, f)
		}
	}
	return fmt.Sprintf("packet %c %q", p.Code, p.Data)
}

// A Field is a header field as milter packets have it.
type Field struct{ Name, Value string }

// String escapes the value's line ends, of folds.
func (f Field) String() string { return f.Name + ": " + strings.ReplaceAll(f.Value, "\n", `\n`) }

// parseField reads two C strings, no more.
func parseField(data []byte) (f Field, ok bool) {
	parts := strings.Split(string(data), "\x00")
	if len(parts) != 3 || parts[2] != "" {
		return f, false
	}
	return Field{parts[0], parts[1]}, true
}

func parseIndexed(data []byte) (index uint32, f Field, ok bool) {
	if len(data) < 4 {
		return 0, f, false
	}
	f, ok = parseField(data[4:])
	return binary.BigEndian.Uint32(data), f, ok
}
