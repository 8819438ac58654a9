package mailbox

import (
	"strings"
	"testing"
)

func TestFromLines(t *testing.T) {
	const field = "\nSubject: s\n"
	const mail = "\nX-Odd: x\nMessage-ID: <1@x>\n\n"
	dated := map[string]verdict{
		"From alice@example.org Tue Nov 24 11:00:00 2026" + field:                          yes,
		"From alice@example.org Tue Nov 24 11:00:00 2026\r\nSubject: s\r\n":                yes,
		"From alice at example.org  Tue Nov 24 11:00:00 2026" + field:                      yes,
		"From alice@example.org Tue Nov 24 11:00 MET 2026" + field:                         yes,
		"From alice@example.org Tue Nov 24 9:05:00 +0100 2026" + field:                     yes,
		"From alice@example.org Tue Nov 24 11:00:00 2026 remote from uucp" + field:         yes,
		"From a@[IPv6:2001:db8::1] Tue Nov 24 11:00:00 2026" + field:                       yes,
		"From /O=x:y/@g Tue Nov 24 11:00:00 2026" + field:                                  yes,
		"From MAILER-DAEMON Tue Nov 24 11:00:00 2026" + field:                              yes,
		"From - Tue Nov 24 11:00:00 2026" + field:                                          yes,
		"From alice Tue Nov 24 11:00:00 2026\n>From bob" + field:                           yes,
		"From alice Tue Nov 24 11:00:00 2026\nFrom alice Tue Nov 24 11:00:00 2026" + field: yes,
		"From alice Tue Nov 24 11:00:00 2026\nSubject :s":                                  yes,
		"From alice Tue Nov 24 11:00:00 2026\nX" + strings.Repeat("-", 5000) + ": s\n":     yes,
		"From " + strings.Repeat("x", 5000) + " Tue Nov 24 11:00:00 2026" + field:          yes,
		"From alice Tue Nov 24 11:00:00 2026\n\nbody":                                      no,
		"From alice Tue Nov 24 11:00:00 2026\nno field here\n":                             no,
		"From alice Tue Nov 24 11:00:00 2026\n folded: no\n":                               no,
		"From: alice Tue Nov 24 11:00:00 2026" + field:                                     no,
		"Fromage 11:00:00 2026" + field:                                                    no,
		">From alice Tue Nov 24 11:00:00 2026" + field:                                     no,
		"Fro":                                              more,
		"From alice Tue Nov 24 11:00":                      more,
		"From alice Tue Nov 24 11:00:00 2026\n":            more,
		"From alice Tue Nov 24 11:00:00 2026\nSubj":        more,
		"From alice Tue Nov 24 11:00:00 2026\n>From bob\n": more,
		"From " + strings.Repeat("x", maxFromLines):        no,
	}
	undated := map[string]verdict{ // behind an empty line; no elsewhere
		"From " + mail:                                     yes,
		"From -" + mail:                                    yes,
		"From 1234@xxx" + mail:                             yes,
		"From a@b 2026-11-23T10:00:00Z" + mail:             yes,
		"From a@b Mon Nov 23 10.00.00 2026" + mail:         yes,
		"From a@b Mon, 23 Nov 26 10:00:00" + mail:          yes,
		"From a@b" + "\nFrom: a\nDate: d\n":                yes,
		"From a@b" + "\nSubject: s\nX: y\n":                more,
		"From a@b" + "\nSubject: s\nX: y\n\n":              no,
		"From alice Tue Nov 24 2026" + field + "\n":        no,
		"From alice at 11:00, as she said" + field + "\n":  no,
		"From alice at 11:00 in room 20266" + field + "\n": no,
		"From here on" + field + "\n":                      no,
		"From here on\nNote: this is prose\n\n":            no,
	}
	check := func(text string, p place, last bool, want verdict) {
		t.Helper()
		if got, _ := judgeFrom([]byte(text), p, last); got != want {
			t.Errorf("%.200q at place %d, last %v: %v, want %v", text, p, last, got, want)
		}
	}
	for text, want := range dated {
		check(text, inText, false, want)
		check(text, afterEmpty, false, want)
		if want == more {
			want = no
		}
		check(text, inText, true, want)
	}
	for text, want := range undated {
		check(text, afterEmpty, false, want)
		if !hasDate([]byte(text)) && !strings.HasPrefix(text, "From \n") && !strings.HasPrefix(text, "From -") {
			check(text, inText, false, no)
		}
		if want == more {
			want = no
		}
		check(text, afterEmpty, true, want)
	}
}

// Netscape's mailboxes have no empty line between messages.
func TestBareFromLinesNeedNoEmptyLine(t *testing.T) {
	for text, want := range map[string]verdict{
		"From - \nMessage-ID: <1@x>\n\n":  yes,
		"From -\r\nFrom: a\r\nTo: b\r\n":  yes,
		"From \nMIME-Version: 1.0\n":      yes,
		"From -\nNote: prose\n\n":         no,
		"From - a\nMessage-ID: <1@x>\n\n": no,
		"From a@b\nMessage-ID: <1@x>\n\n": no,
	} {
		if got, _ := judgeFrom([]byte(text), inText, true); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
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
		if got, _ := judgeFrom([]byte(text), atStart, true); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
