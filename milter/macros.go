package milter

import "bytes"

// macros are what an MTA tells beside the next command of the given code
// (SMFIC_MACRO), as far as it matters here.
type macros struct {
	command   byte
	queueID   string // i
	messageID string // {msg_id}
}

// parseMacros takes names and values that each end with a NUL. data begins
// with the code of the command. Postfix sends macros before each header field,
// too; kept are those of the commands at which a session takes notice.
func parseMacros(data []byte) macros {
	out := macros{command: data[0]}
	if bytes.IndexByte([]byte("MRE"), out.command) < 0 {
		return out
	}
	for rest := data[1:]; len(rest) > 0; {
		var name, value []byte
		name, rest, _ = bytes.Cut(rest, []byte{0})
		value, rest, _ = bytes.Cut(rest, []byte{0})
		switch string(name) {
		case "i":
			out.queueID = string(value)
		case "{msg_id}":
			out.messageID = string(value)
		}
	}
	return out
}
