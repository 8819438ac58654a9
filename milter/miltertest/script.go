package miltertest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Script is one MTA's connection, line by line:
//
//	# a comment
//	option NAME=VALUE            a limit of the server, for whoever runs the script
//	log TEXT                     must be in exactly one line of the server's log
//	negotiate VERSION ACTIONS PROTOCOL
//	macro COMMAND NAME=VALUE ... COMMAND is the letter of the packet that the macros are for
//	connect HOST FAMILY PORT ADDRESS, helo NAME, mail ADDRESS ..., rcpt ADDRESS ..., data,
//	header NAME: VALUE, eoh, body TEXT, eom, abort, quit, quit_nc, unknown TEXT
//	packet CODE TEXT             a packet of any code
//	raw HEX                      bytes outside any packet
//	split N                      from here on, a write takes N bytes at most; 0: no more
//	join                         from here on, packets leave in one write, before the next expect or stall
//	stall DURATION               the MTA does nothing
//	repeat N                     the next line is sent N times
//	expect REPLY                 the next reply, as Packet.String writes it
//	expect close                 the milter ends the connection, without another reply
//
// TEXT, VALUE and HEX may hold \n, \t, \\ and \xHH. At the end the MTA closes its side, and no reply may be left.
type Script struct {
	Options map[string]string
	Logs    []string
	steps   []step
}

// A step sends, or waits, or expects; the fields that a line does not set are empty.
type step struct {
	line   int
	send   []byte
	times  int
	split  int // -1: as before
	join   bool
	stall  time.Duration
	expect string
}

// Parse reads a script. Its error names each wrong line.
func Parse(text string) (*Script, error) {
	s := &Script{Options: make(map[string]string)}
	var errs []error
	repeat := 1
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		verb, rest, _ := strings.Cut(line, " ")
		if verb == "repeat" {
			n, err := strconv.ParseUint(rest, 10, 16)
			errs = append(errs, at(i+1, err))
			repeat = int(n)
			continue
		}
		st := step{line: i + 1, times: repeat, split: -1}
		repeat = 1
		keep, err := s.parseLine(&st, verb, rest)
		errs = append(errs, at(i+1, err))
		if keep {
			s.steps = append(s.steps, st)
		}
	}
	return s, errors.Join(errs...)
}

func at(line int, err error) error {
	if err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	return nil
}

// parseLine fills a step in, or reports keep false for a line that is about the whole script.
func (s *Script) parseLine(st *step, verb, rest string) (keep bool, err error) {
	switch verb {
	case "option":
		name, value, _ := strings.Cut(rest, "=")
		s.Options[name] = value
		return false, nil
	case "log":
		s.Logs = append(s.Logs, rest)
		return false, nil
	case "split":
		st.split, err = strconv.Atoi(rest)
	case "join":
		st.join = true
	case "stall":
		st.stall, err = time.ParseDuration(rest)
	case "expect":
		st.expect = rest
	case "raw":
		st.send, err = hex.DecodeString(strings.ReplaceAll(rest, " ", ""))
	default:
		var p Packet
		p, err = parsePacket(verb, rest)
		st.send = p.Append(nil)
	}
	return true, err
}

// plain are the commands whose data is the line's words as C strings.
var plain = map[string]byte{"helo": 'H', "mail": 'M', "rcpt": 'R', "unknown": 'U'}

// bare are the commands without data.
var bare = map[string]byte{"data": 'T', "eoh": 'N', "eom": 'E', "abort": 'A', "quit": 'Q', "quit_nc": 'K'}

func parsePacket(verb, rest string) (Packet, error) {
	text, err := unescape(rest)
	if err != nil {
		return Packet{}, err
	}
	if code, ok := plain[verb]; ok {
		return Packet{code, cstrings(strings.Fields(text)...)}, nil
	}
	if code, ok := bare[verb]; ok {
		return Packet{code, nil}, nil
	}
	switch verb {
	case "negotiate":
		return parseOffer(text)
	case "connect":
		return parseConnect(text)
	case "macro":
		return parseMacro(text)
	case "header":
		name, value, _ := strings.Cut(text, ":")
		return Packet{'L', cstrings(name, strings.TrimPrefix(value, " "))}, nil
	case "body":
		return Packet{'B', []byte(text)}, nil
	case "packet":
		code, data, _ := strings.Cut(text, " ")
		if len(code) != 1 {
			return Packet{}, fmt.Errorf("packet %q: write a code of one byte", code)
		}
		return Packet{code[0], []byte(data)}, nil
	}
	return Packet{}, fmt.Errorf("%q is not a verb of scripts", verb)
}

func parseOffer(text string) (Packet, error) {
	var n Negotiation
	if _, err := fmt.Sscanf(text, "%v %v %v", &n.Version, &n.Actions, &n.Protocol); err != nil {
		return Packet{}, fmt.Errorf("negotiate: %w", err)
	}
	return n.Packet(), nil
}

func parseConnect(text string) (Packet, error) {
	words := strings.Fields(text)
	if len(words) != 4 || len(words[1]) != 1 {
		return Packet{}, errors.New("connect: write HOST FAMILY PORT ADDRESS")
	}
	port, err := strconv.ParseUint(words[2], 10, 16)
	data := append(cstrings(words[0]), words[1][0], byte(port>>8), byte(port))
	return Packet{'C', append(data, cstrings(words[3])...)}, err
}

func parseMacro(text string) (Packet, error) {
	words := strings.Fields(text)
	if len(words) == 0 || len(words[0]) != 1 {
		return Packet{}, errors.New("macro: write COMMAND and any number of NAME=VALUE")
	}
	data := []byte(words[0])
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		data = append(data, cstrings(name, value)...)
	}
	return Packet{'D', data}, nil
}

func unescape(text string) (string, error) {
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	out, err := strconv.Unquote(`"` + strings.ReplaceAll(text, `"`, `\"`) + `"`)
	if err != nil {
		return "", fmt.Errorf("%q: write \\n, \\t, \\\\ or \\xHH: %w", text, err)
	}
	return out, nil
}

// Stream is all that the script sends, in one piece.
func (s *Script) Stream() []byte {
	var out []byte
	for _, st := range s.steps {
		for range st.times {
			out = append(out, st.send...)
		}
	}
	return out
}
