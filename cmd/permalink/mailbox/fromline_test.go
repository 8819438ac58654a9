package mailbox

import (
	"strings"
	"testing"
)

func TestFromLines(t *testing.T) {
	const field = "\nSubject: s\n"
	for text, want := range map[string]verdict{
		"From alice@example.org Tue Nov 24 11:00:00 2026" + field:                  yes,
		"From alice@example.org Tue Nov 24 11:00:00 2026\r\nSubject: s\r\n":        yes,
		"From alice at example.org  Tue Nov 24 11:00:00 2026" + field:              yes,
		"From alice@example.org Tue Nov 24 11:00 MET 2026" + field:                 yes,
		"From alice@example.org Tue Nov 24 9:05:00 +0100 2026" + field:             yes,
		"From alice@example.org Tue Nov 24 11:00:00 2026 remote from uucp" + field: yes,
		"From MAILER-DAEMON Tue Nov 24 11:00:00 2026" + field:                      yes,
		"From - Tue Nov 24 11:00:00 2026" + field:                                  yes,
		"From alice Tue Nov 24 11:00:00 2026\n>From bob\n":                         yes,
		"From alice Tue Nov 24 11:00:00 2026\nSubject :s":                          yes,
		"From alice Tue Nov 24 11:00:00 2026\n\nbody":                              no,
		"From alice Tue Nov 24 11:00:00 2026\nno field here\n":                     no,
		"From alice Tue Nov 24 11:00:00 2026\n folded: no\n":                       no,
		"From alice Tue Nov 24 2026" + field:                                       no,
		"From alice at 11:00, as she said" + field:                                 no,
		"From alice at 11:00 in room 20266" + field:                                no,
		"From here on" + field:                                                     no,
		"From: alice Tue Nov 24 11:00:00 2026" + field:                             no,
		"Fromage 11:00:00 2026" + field:                                            no,
		">From alice Tue Nov 24 11:00:00 2026" + field:                             no,
		"Fro":                                       more,
		"From alice Tue Nov 24 11:00":               more,
		"From alice Tue Nov 24 11:00:00 2026\n":     more,
		"From alice Tue Nov 24 11:00:00 2026\nSubj": more,
		"From " + strings.Repeat("x", maxFromLine):  no,
	} {
		if got := judgeFrom([]byte(text), false, false); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
		atEnd := want
		if want == more {
			atEnd = no
		}
		if got := judgeFrom([]byte(text), false, true); got != atEnd {
			t.Errorf("%q at the end: %v, want %v", text, got, atEnd)
		}
	}
}

func TestTheFirstLineOfAFileNeedsNoDate(t *testing.T) {
	for text, want := range map[string]verdict{
		"From alice\nSubject: s\n":      yes,
		"From alice\nno field\n":        no,
		"From : alice\nSubject: s\n":    no, // a field (RFC 5322, section 4.5)
		"From the start\n\nit is text.": no,
	} {
		if got := judgeFrom([]byte(text), true, true); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
