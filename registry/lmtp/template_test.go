package lmtp

import (
	"strings"
	"testing"

	"permalink-milter/hashheader"
)

// A message that its archive has no URL for is refused before it is reserved or
// stored: there is nothing that a later message could collide with.
func TestTheURLOfAnArchivedMessageShowsItsDate(t *testing.T) {
	s := start(t, func(o *Options) {
		o.Domains[0].URL, _ = hashheader.ParseTemplate("https://lists.example.org/{year}-{month}/{md5:base64url}")
	})
	c := s.dial(t)
	c.begin(t, "a@example.org")
	expect(t, c.talk("RCPT TO:<" + hash + "@archive.example.org>")[0], "250 ")
	dateless := strings.Replace(message1(aliceID), "Date: Tue, 24 Nov 2026", "Date: Tuesday", 1)
	expect(t, c.talk("DATA", dateless+".")[1], "554 5.6.0 <"+hash+"@archive.example.org> This message has no permalink here: the template needs a Date")
	if held, err := s.registry.LookupHash(t.Context(), devel, hash); len(held) > 0 || len(stored(t, s.devel)) > 0 {
		t.Errorf("it left %v, %v", held, err)
	}
	c.talk("MAIL FROM:<a@example.org>", "RCPT TO:<"+hash+"@archive.example.org>")
	got := c.talk("DATA", message1(aliceID)+".")[1]
	expect(t, got, "250 ")
	if !strings.Contains(got, "https://lists.example.org/2026-11/-q1Jhm6UmPwXGfUonnoCaQ") {
		t.Errorf("archived as %s", got)
	}
}
