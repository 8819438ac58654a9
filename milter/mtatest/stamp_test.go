package mtatest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const common = "From: a@example.org\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\nTo: devel@lists.example.org\r\n"

// An mtaCase is one behavior on a running site.
type mtaCase struct {
	name string
	run  func(*testing.T, site)
}

// cases hold on every MTA. A kind has the differences between them.
var cases = []mtaCase{
	{"a blind list is named to nobody", blindListIsNamedToNobody},
	{"sendmail -t names a list in Bcc to nobody", listInBccIsNamedToNobody},
	{"a message without a Date has one permalink", datelessHasOnePermalink},
	{"a list counts however the header spells its address", listCountsHoweverSpelled},
	{"a post with the null sender is one by its List-Id", nullSendersListIDCounts},
	{"mail to a list manager is not a list's", managerIsNotAList},
	{"ids that MTAs break name nothing", longIDNamesNothing},
	{"an empty Message-ID before another is passed over", emptyIDIsPassedOver},
	{"forged permalinks go however they are spelled", forgedSpellingsGo},
	{"odd mail is stamped", stampsOddMail},
	{"forged and doubled fields go, other sites' stay", removesForgedFields},
	{"the second pass changes nothing", secondPassChangesNothing},
	{"a body of 10 MB is untouched", largeBodyIsUntouched},
	{"a message is stamped without a body", stampsWithoutBody},
	{"a header over the daemon's limit passes unmarked", longHeaderPassesUnmarked},
	{"the sendmail command is stamped", stampsSendmailCommand},
	{"ids of one hash get tokens of their own", collidingIdsGetTheirOwnTokens},
	{"a list message to many recipients has one token", listMessageToManyRecipients},
	{"several messages on one connection are kept apart", keepsMessagesOfOneConnectionApart},
	{"addresses in UTF-8", addressesInUTF8},
	{"a message that is in progress at SIGTERM arrives once", sigtermInMidMessage},
	{"a load of 50 sessions is stamped", stampsLoad},
	{"thousands of messages while the daemon is killed and stopped", survivesKilledDaemon},
	{"the daemon down is a temporary failure", daemonDownIsATemporaryFailure}, // the last: it stays down
}

func TestStamps(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := startSite(t, k, Options{})
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					s.sink.Reset()
					c.run(t, s)
				})
			}
		})
	}
}

func stampsOddMail(t *testing.T, s site) {
	for name, header := range map[string]string{
		"a plain message":            common + "Message-ID: <1@example.org>\r\n",
		"no Message-ID":              common,
		"a folded Message-ID":        common + "Message-ID:\r\n <3@example.org>\r\n",
		"an 8-bit Message-ID":        common + "Message-ID: <gr\xfc@example.org>\r\n",
		"an empty Message-ID":        common + "Message-ID:\r\n",
		"a header of 60 KB":          common + "Message-ID: <6@example.org>\r\nX-Long: " + strings.Repeat("0123456789\r\n ", 60<<10/13) + "y\r\n",
		"several Message-ID fields":  common + "Message-ID: <7@example.org>\r\nMessage-ID: <8@example.org>\r\n",
		"a legacy field with its X-": common + "Message-ID: <9@example.org>\r\nX-Message-ID-Hash: ZZZ\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, addr := range []string{s.mta.Remote(), s.mta.Local()} {
				m := s.pass(t, addr, header, "hello\r\n")
				checkStamped(t, m)
				if got := m.Raw("X-Message-ID-Hash"); len(got) != 0 {
					t.Errorf("X-Message-ID-Hash: %q", got)
				}
			}
		})
	}
}

// removesForgedFields shows that deletions from the highest index down hit the right fields where the MTA counts anew
// after each (Postfix) and where it does not (Sendmail).
func removesForgedFields(t *testing.T, s site) {
	const other = "https://elsewhere.example/1"
	m := s.pass(t, s.mta.Remote(), common+"Message-ID: <5@example.org>\r\nMessage-ID-MD5: A\r\nArchived-At: <https://a.example/x>\r\n"+
		"Message-ID-MD5: B\r\nArchived-At: <"+other+">\r\nArchived-At: <https://a.example/y>\r\nMessage-ID-MD5: C\r\n", "hello\r\n")
	links := m.Header("Archived-At")
	if !slices.Contains(links, "<"+other+">") || len(links) != 2 {
		t.Errorf("Archived-At %q", links)
	}
	m.Data = bytes.Replace(m.Data, []byte("Archived-At: <"+other+">\r\n"), nil, 1)
	checkStamped(t, m)
}

func secondPassChangesNothing(t *testing.T, s site) {
	once := s.pass(t, s.mta.Remote(), common+"Message-ID: <1@example.org>\r\n", "hello\r\n")
	before := strings.Count(s.daemon.Stderr(), "message unchanged")
	twice := s.pass(t, s.mta.Remote(), string(once.RawHeader()), "hello\r\n")
	ours := func(m Message) []string { return append(m.Raw("Message-ID-MD5"), m.Raw("Archived-At")...) }
	if !slices.Equal(ours(once), ours(twice)) {
		t.Errorf("%q became %q", ours(once), ours(twice))
	}
	if got := strings.Count(s.daemon.Stderr(), "message unchanged"); got != before+1 {
		t.Errorf("%d unchanged messages in the log, want %d", got, before+1)
	}
}

func largeBodyIsUntouched(t *testing.T, s site) {
	body := strings.Repeat("0123456789012345678901234567890123456789012345678901234567890123456789\r\n", 140000)
	m := s.pass(t, s.mta.Remote(), common+"Message-ID: <1@example.org>\r\n", body)
	checkStamped(t, m)
	if !bytes.Equal(m.Body(), []byte(body)) {
		t.Error("the body changed")
	}
}

func stampsWithoutBody(t *testing.T, s site) {
	for name, data := range map[string]string{
		"a header alone":              common + "Message-ID: <2@example.org>\r\n",
		"a header and the empty line": common + "Message-ID: <2@example.org>\r\n\r\n",
		"a body alone":                "\r\nhello\r\n",
		"nothing":                     "",
	} {
		t.Run(name, func(t *testing.T) {
			checkStamped(t, s.passRaw(t, s.mta.Remote(), []byte(data)))
		})
	}
}

func longHeaderPassesUnmarked(t *testing.T, s site) {
	// Twenty fields, as Postfix cuts one at 100 KB (header_size_limit); of a name that the daemon has to keep.
	fields := strings.Repeat("Subject: "+strings.Repeat("0123456789\r\n ", 60<<10/13)+"\r\n", 20)
	m := s.pass(t, s.mta.Remote(), common+"Message-ID: <1@example.org>\r\n"+fields, "hello\r\n")
	if got := append(m.Raw("Message-ID-MD5"), m.Raw("Archived-At")...); len(got) != 0 || string(m.Body()) != "hello\r\n" {
		t.Errorf("stamped %q, body %q", got, m.Body())
	}
	if !strings.Contains(s.daemon.Stderr(), "reason=header_limit") {
		t.Errorf("no warning:\n%s", s.daemon.Stderr())
	}
}

func stampsSendmailCommand(t *testing.T, s site) {
	message := []byte("From: a@example.org\nTo: devel@lists.example.org\nMessage-ID: <1@example.org>\n\nhello\n")
	if err := s.mta.Sendmail(limit(t), "a@example.org", []string{"devel@lists.example.org"}, message); err != nil {
		t.Fatal(err)
	}
	checkStamped(t, wait(t, s.sink, 1)[0])
}

func collidingIdsGetTheirOwnTokens(t *testing.T, s site) {
	var tokens []string
	for _, letter := range []string{"A", "E", "A"} {
		id := "TEXTCOLLBYfGiJUETHQ4h" + letter + "cKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak"
		tokens = append(tokens, checkStamped(t, s.pass(t, s.mta.Remote(), common+"Message-ID: <"+id+">\r\n", "hello\r\n")))
	}
	want := []string{"7KWUTBTOSSMPYFYZ6UUJ46QCNE", "7KWUTBTOSSMPYFYZ6UUJ46QCNE-2", "7KWUTBTOSSMPYFYZ6UUJ46QCNE"}
	if !slices.Equal(tokens, want) {
		t.Errorf("tokens %q, want %q", tokens, want)
	}
}

func listMessageToManyRecipients(t *testing.T, s site) {
	var mails []Mail
	for i := range 5 {
		// VERP: each subscriber's copy has its own envelope sender.
		mails = append(mails, Mail{From: fmt.Sprintf("devel-bounces+%d=example.net@lists.example.org", i), To: []string{fmt.Sprintf("%d@example.net", i)},
			Data: []byte(common + "Message-ID: <1@example.org>\r\nList-Id: <devel.lists.example.org>\r\n\r\nhello\r\n")})
	}
	mails = append(mails, Mail{From: "devel-bounces@lists.example.org", To: []string{"x@example.net", "y@example.net"}, Data: mails[0].Data})
	for _, send := range []func(context.Context, string, ...Mail) error{Send, SendPipelined} {
		s.sink.Reset()
		if err := send(limit(t), s.mta.Remote(), mails...); err != nil {
			t.Fatal(err)
		}
		tokens := make(map[string]bool)
		for _, m := range wait(t, s.sink, len(mails)) {
			tokens[checkStamped(t, m)] = true
		}
		if len(tokens) != 1 {
			t.Errorf("one message got the tokens %v", tokens)
		}
	}
}

// keepsMessagesOfOneConnectionApart sends a long and a short message in turn. Postfix tells the filter of each one's
// end by an ABORT, Sendmail by nothing.
func keepsMessagesOfOneConnectionApart(t *testing.T, s site) {
	var mails []Mail
	for i := range 10 {
		data := fmt.Sprintf("%sMessage-ID: <apart-%d@example.org>\r\n\r\nhello\r\n", common, i)
		if i%2 == 0 {
			data = "List-Id: <other.lists.example.net>\r\nMessage-ID-MD5: A\r\n" + data
		}
		mails = append(mails, Mail{From: "a@example.org", To: []string{"devel@lists.example.org"}, Data: []byte(data)})
	}
	if err := Send(limit(t), s.mta.Remote(), mails...); err != nil {
		t.Fatal(err)
	}
	tokens := make(map[string]bool)
	for _, m := range wait(t, s.sink, len(mails)) {
		tokens[checkStamped(t, m)] = true
	}
	if len(tokens) != len(mails) {
		t.Errorf("%d messages got %d tokens", len(mails), len(tokens))
	}
}

func addressesInUTF8(t *testing.T, s site) {
	mail := Mail{From: "grüße@example.org", To: []string{"devel@lists.example.org"}, SMTPUTF8: true,
		Data: []byte(common + "Subject: Grüße\r\nMessage-ID: <grüße@example.org>\r\n\r\nhello\r\n")}
	err := Send(limit(t), s.mta.Remote(), mail)
	if !s.smtputf8 {
		if !isReply(err, 501) {
			t.Errorf("an MTA without SMTPUTF8 took it: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	checkStamped(t, wait(t, s.sink, 1)[0])
}

// datelessHasOnePermalink takes a message through the filter, a list manager,
// and the filter again; and sends it a second time, as a client does that lost
// a reply. Sendmail would add a Date behind the filter; Postfix adds one before
// it, for local clients alone.
func datelessHasOnePermalink(t *testing.T, s site) {
	for name, id := range map[string]string{"with an id": "Message-ID: <dateless@example.org>\r\n", "without": ""} {
		header := "From: a@example.org\r\nTo: devel@lists.example.org\r\nSubject: " + name + "\r\n" + id
		first := s.pass(t, s.mta.Remote(), header, "hello\r\n")
		if got := first.Header("Date"); len(got) != 1 || !strings.HasSuffix(got[0], "+0000 (added in transit)") {
			t.Errorf("%s: Date %q", name, got)
		}
		tokens := []string{checkStamped(t, first)}
		if id != "" {
			tokens = append(tokens, checkStamped(t, s.pass(t, s.mta.Remote(), header, "hello\r\n")))
		}
		list := "List-Id: <devel.lists.example.org>\r\n"
		tokens = append(tokens, checkStamped(t, s.pass(t, s.mta.Remote(), list+string(first.RawHeader()), "hello\r\n")))
		if slices.ContainsFunc(tokens, func(token string) bool { return token != tokens[0] || strings.Contains(token, "-") }) {
			t.Errorf("%s: tokens %q", name, tokens)
		}
	}
}
