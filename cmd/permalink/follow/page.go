package follow

import (
	"bytes"
	"fmt"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"permalink-milter/hashheader"
)

// statedID finds where a page states a Message-ID, as header text or link.
var statedID = regexp.MustCompile(`(?i)message-?id(?:</[a-z]+>|["'=:\s]|<[a-z]+>)*<?([^\s<>"']+@[^\s<>"']+)`)

// pageWord compares the Message-ID that a page states first with a message's:
// the ids further down may be those of replies. A page that states none may
// hold the id anywhere. An id without an @ could be a word of any page.
func pageWord(page, id []byte) (hashheader.Result, string) {
	text := []byte(html.UnescapeString(string(page)))
	forms := [][]byte{id, []byte(url.PathEscape(string(id)))}
	stated := statedID.FindSubmatchIndex(text)
	if stated != nil && !startsWithAny(text[stated[2]:], forms) {
		return hashheader.Fail, fmt.Sprintf("it is another message: %.200s", text[stated[2]:stated[3]])
	}
	if bytes.IndexByte(id, '@') >= 0 && (stated != nil || containsAny(text, forms)) {
		return hashheader.Pass, "it answers, with this Message-ID"
	}
	return hashheader.Pass, "it answers; the page states no Message-ID"
}

// containsAny reports whether a text holds one of the forms of an id, and not as
// a part of a longer id.
func containsAny(text []byte, forms [][]byte) bool {
	for _, form := range forms {
		for at := 0; ; at++ {
			next := bytes.Index(text[at:], form)
			if next < 0 {
				break
			}
			if at += next; (at == 0 || !inID(text[at-1])) && startsWithAny(text[at:], forms) {
				return true
			}
		}
	}
	return false
}

// startsWithAny reports whether a text begins with one of the forms of an id,
// and not with a longer id.
func startsWithAny(text []byte, forms [][]byte) bool {
	return slices.ContainsFunc(forms, func(form []byte) bool {
		rest, ok := bytes.CutPrefix(text, form)
		rest = bytes.TrimLeft(rest, ".") // the end of a sentence, or of a label
		return ok && (len(rest) == 0 || !inID(rest[0]))
	})
}

// inID reports whether a byte next to an id belongs to it. Bytes that stand
// around ids in links and text do not.
func inID(c byte) bool {
	return c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!$%*+-.@^_`{|}~", c) >= 0
}
