package hashheader

// Canonical appends to dst the canonical Message-ID of a Message-ID field's
// value (the raw bytes behind the colon, folds included) and returns the
// result. It deletes every SP, HTAB, CR and LF, since no msg-id holds any
// (RFC 5322, section 3.6.4) and relays fold long ids in mid-token, and then
// one enclosing pair of angle brackets. All other bytes stay as they are. An
// empty result means that the field holds no id.
func Canonical[T string | []byte](dst []byte, value T) []byte {
	start := len(dst)
	dst = appendStripped(dst, value)
	id := dst[start:]
	if len(id) < 2 || id[0] != '<' || id[len(id)-1] != '>' {
		return dst
	}
	n := copy(id, id[1:len(id)-1])
	return dst[:start+n]
}

// appendStripped appends value to dst without its white space.
func appendStripped[T string | []byte](dst []byte, value T) []byte {
	from := 0
	for i := 0; i < len(value); i++ {
		if !isSpace(value[i]) {
			continue
		}
		dst = append(dst, value[from:i]...)
		from = i + 1
	}
	return append(dst, value[from:]...)
}

// Stripped returns a field's value without its white space (SP, HTAB, CR, LF),
// the folds among it. It copies only where there is white space inside.
func Stripped(value string) string {
	value = trimSpace(value)
	for i := range len(value) {
		if isSpace(value[i]) {
			return string(appendStripped(nil, value))
		}
	}
	return value
}

// trimSpace returns value without the white space around it. Reading a mailbox
// trims so much that strings.Trim, which makes a set of its cutset, is slow.
func trimSpace(value string) string {
	for value != "" && isSpace(value[0]) {
		value = value[1:]
	}
	for value != "" && isSpace(value[len(value)-1]) {
		value = value[:len(value)-1]
	}
	return value
}

func isSpace(c byte) bool {
	return c == ' ' || c == '\t' || c == '\r' || c == '\n'
}
