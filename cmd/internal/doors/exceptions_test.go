package doors

import (
	"bytes"
	"slices"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/mailbox"
)

// An exception is a kind of message of which a door cannot know all that the
// others know.
type exception struct {
	doors   []string
	aspects []aspect // nil: the door cannot be given the message at all
	when    func(data []byte) bool
	reason  string
}

// exceptions are all that there are.
var exceptions = []exception{
	{doors: []string{"the milter"}, when: hasNUL, reason: "the milter protocol has C strings, and MTAs cut a value at its NUL"},
	{doors: []string{"the LMTP server", "LMTP delivery", "permalink deliver"}, when: hasLongLine,
		reason: "the LMTP server takes lines of 128 KiB"},
	{doors: []string{"permalink import"}, aspects: []aspect{md5, identity}, when: isKeptOut,
		reason: "a message that its author keeps out of archives gets no reservation"},
	{doors: []string{"the Mailman plugin"}, aspects: []aspect{own}, when: hasLongID,
		reason: "its batch mode reports an id that is too long as it reports none"},
	{doors: []string{"the page"}, when: isLong, reason: "whoever has no token may send 64 KiB, and the page asks for none"},
	{doors: []string{"the page"}, when: isMailbox, reason: "it reads a mailbox as several messages"},
	{doors: []string{"the page"}, aspects: []aspect{id}, when: hasOddID,
		reason: "it spells out what is not printable; the hashes are of the true bytes"},
}

// excepted reports whether a door's answer about an aspect of a message does
// not count.
func excepted(door string, key aspect, data []byte) bool {
	return slices.ContainsFunc(exceptions, func(e exception) bool {
		return slices.Contains(e.doors, door) && (e.aspects == nil || slices.Contains(e.aspects, key)) && e.when(data)
	})
}

// hasLongLine reports whether a line has more than 128 KiB.
func hasLongLine(data []byte) bool {
	for line := range bytes.Lines(data) {
		if len(line) > 128<<10-2 {
			return true
		}
	}
	return false
}

// hasNUL reports whether a header section has a NUL.
func hasNUL(data []byte) bool {
	var s hashheader.Section
	s.Scan(data, true)
	return bytes.IndexByte(data[s.Start:s.End], 0) >= 0
}

// isKeptOut reports whether a message asks not to be archived.
func isKeptOut(data []byte) bool {
	h, _ := hashheader.ReadHeader(bytes.NewReader(data))
	_, never := h.First("X-No-Archive")
	value, _ := h.First("X-Archive")
	return never || strings.EqualFold(strings.TrimSpace(value), "no")
}

// hasLongID reports whether the id of a message is too long to name it.
func hasLongID(data []byte) bool {
	h, err := hashheader.ReadHeader(bytes.NewReader(data))
	if err != nil {
		return false
	}
	_, err = h.MessageID()
	return err != nil
}

// hasOddID reports whether an id has bytes that are not shown as they are.
func hasOddID(data []byte) bool {
	h, err := hashheader.ReadHeader(bytes.NewReader(data))
	if err != nil {
		return false
	}
	canonical, err := h.MessageID()
	return err == nil && hashheader.Printable(string(canonical)) != string(canonical)
}

// isLong reports whether a message with the form around it has more than 64 KiB.
func isLong(data []byte) bool { return len(data) > 63<<10 }

// isMailbox reports whether a text is several messages.
func isMailbox(data []byte) bool { return len(mailbox.Split(data)) > 1 }
