package lmtp

import (
	"os/exec"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// python negotiates as an archive runner in Python would: it takes the
// address in the text of a 553 as the next recipient.
const python = `
import re, smtplib, sys
addr, rcpt, sender, message = sys.argv[1:]
host, _, port = addr.rpartition(":")
with smtplib.LMTP(host or addr, int(port) if host else 0) as lmtp:
    lmtp.ehlo_or_helo_if_needed()
    lmtp.mail(sender, ["size=%d" % len(message)] if lmtp.has_extn("size") else [])
    code, text = lmtp.rcpt(rcpt)
    while code == 553:
        print(code, text.decode())
        rcpt = re.search("try <(.*?)>", text.decode())[1]
        code, text = lmtp.rcpt(rcpt)
    code, text = lmtp.data(message)
    print(code, text.decode())
`

func TestPythonsClientNegotiates(t *testing.T) {
	program := need.Program(t, "python3", "python3")
	s := start(t, nil)
	socket := s.unix(t)
	at := func(token string) string { return "<" + token + "@archive.example.org>" }
	for _, c := range []struct{ addr, sender, id, want string }{
		{s.addr, "alice@example.org", aliceID, "250 2.1.5 " + at(hash) + " Archived as " + at(hash) + " https://lists.example.org/" + hash},
		{s.addr, "alice@example.org", aliceID, "250 2.1.5 " + at(hash) + " Already archived as " + at(hash) + " https://lists.example.org/" + hash},
		{socket, "bob@example.net", bobID, "553 5.1.0 Permalink already occupied, try " + at(hash+"-2") + "\n" +
			"250 2.1.5 " + at(hash+"-2") + " Archived as " + at(hash+"-2") + " https://lists.example.org/" + hash + "-2"},
	} {
		out, err := exec.CommandContext(t.Context(), program, "-c", python, c.addr, hash+"@archive.example.org", c.sender, message1(c.id)).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%v\n got %s\nwant %s", err, got, c.want)
		}
	}
	if got := stored(t, s.devel); len(got) != 2 {
		t.Errorf("%d messages are stored", len(got))
	}
}
