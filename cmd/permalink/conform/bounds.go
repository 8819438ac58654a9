package conform

import (
	"fmt"
	"strings"

	"permalink-milter/hashheader"
)

// named returns a message with the hashes of an id, or none where it is empty.
func named(name, text, id string) message {
	m := message{Name: name, Message: []byte(text), Hashes: map[string]string{}}
	if id == "" {
		return m
	}
	for _, a := range hashheader.Algorithms {
		if hash, err := a.Hash([]byte(id)); err == nil { // FIPS mode has no MD5
			m.Hashes[a.FieldName()] = hash
		}
	}
	return m
}

// A section that is filled up to a bound.
const (
	someFields = "From: a@example.org\nDate: Tue, 24 Nov 2026 11:00:00 +0000\nMessage-ID: <x@y>\n"
	someBytes  = len(someFields) - 3*len(": \n")
)

// atBounds returns messages with header sections at the bounds and over them.
func atBounds() (out []message) {
	for _, over := range []int{0, 1} {
		id := []string{"x@y", ""}[over]
		n := hashheader.MaxSectionFields + over
		out = append(out, named(fmt.Sprintf("%d fields", n), strings.Repeat("X: y\n", n-3)+someFields+"\nhello\n", id))
		n = hashheader.MaxSectionSize + over
		filled := "X: " + strings.Repeat("y", n-someBytes-1) + "\r\n" + someFields + "\nhello\n"
		out = append(out, named(fmt.Sprintf("%d bytes of names and values", n), filled, id))
		n = hashheader.MaxSectionRaw + over
		skipped := strings.Repeat("\n", n-len(someFields)) + someFields + "\nhello\n"
		out = append(out, named(fmt.Sprintf("%d bytes of lines", n), skipped, id))
	}
	return append(out, named("a body of 2 MiB", someFields+"\n"+strings.Repeat("y", 2<<20), "x@y"))
}

// longIDs returns messages with ids at the bound and over it.
func longIDs() (out []message) {
	long := strings.Repeat("x", 996) + "@y"
	return append(out,
		named("an id of 998 bytes", "Message-ID: <"+long+">\n\n", long),
		named("an id of 998 bytes, folded", "Message-ID: <"+long[:500]+"\n "+long[500:]+">\n\n", long),
		named("an id of 999 bytes", "Message-ID: <x"+long+">\n\n", ""),
		named("an id of 999 bytes before another", "Message-ID: <x"+long+">\nMessage-ID: <x@y>\n\n", ""))
}

// mislabelled returns a message whose older hash field is wrong.
func mislabelled() message {
	return named("a wrong Message-ID-Hash", "Message-ID-Hash: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"+someFields+"\n", "x@y")
}
