package mtatest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// deliver sends one message to several recipients and returns what came out,
// which one delivery may hold for all of them.
func (s site) deliver(t *testing.T, from string, to []string, header string) Message {
	t.Helper()
	s.sink.Reset()
	if err := Send(limit(t), s.mta.Remote(), Mail{From: from, To: to, Data: []byte(header + "\r\nhello\r\n")}); err != nil {
		t.Fatal(err)
	}
	return wait(t, s.sink, 1)[0]
}

const plain = "From: a@example.org\r\nDate: Tue, 24 Nov 2026 11:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"

func blindListIsNamedToNobody(t *testing.T, s site) {
	const blind = "layoffs@lists.example.org"
	m := s.deliver(t, "a@example.org", []string{"bob@example.net", blind}, plain+"To: bob@example.net\r\n")
	if got := m.Raw("Archived-At"); len(got) != 0 || len(m.Raw("Message-ID-MD5")) != 1 {
		t.Errorf("Archived-At %q", got)
	}
	m = s.deliver(t, "a@example.org", []string{"devel@lists.example.org", blind}, plain+"Cc: Devel <DEVEL@lists.example.org>\r\n")
	checkStamped(t, m)
	if strings.Contains(s.daemon.Stderr()+string(m.RawHeader()), blind) {
		t.Error("the log or the message names the blind list")
	}
}

// listInBccIsNamedToNobody has the sendmail command take the recipients from
// the header. Postfix hands over one message with all recipients, which reaches
// its non_smtpd_milters through pickup; Sendmail may make two of it.
func listInBccIsNamedToNobody(t *testing.T, s site) {
	const blind = "layoffs@lists.example.org"
	for to, stamped := range map[string]bool{"bob@example.net": false, "devel@lists.example.org": true} {
		s.sink.Reset()
		message := "From: a@example.org\nTo: " + to + "\nBcc: " + blind + "\nMessage-ID: <bcc@example.org>\n\nhello\n"
		if err := s.mta.Sendmail(limit(t), "a@example.org", nil, []byte(message)); err != nil {
			t.Fatal(err)
		}
		for _, m := range untilTwo(t, s.sink) {
			links := m.Raw("Archived-At")
			if (len(links) > 0) != stamped || len(m.Raw("Message-ID-MD5")) != 1 {
				t.Errorf("to %s: Archived-At %q", to, links)
			}
			if strings.Contains(string(m.RawHeader()), "layoffs") {
				t.Errorf("to %s: the message names the blind list:\n%s", to, m.RawHeader())
			}
		}
	}
	if strings.Contains(s.daemon.Stderr(), blind) {
		t.Error("the log names the blind list")
	}
}

// untilTwo returns the deliveries to two recipients, however many transactions
// they came in.
func untilTwo(t *testing.T, s *Sink) []Message {
	t.Helper()
	for n := 1; ; n++ {
		got := wait(t, s, n)
		recipients := 0
		for _, m := range got {
			recipients += len(m.To)
		}
		if recipients >= 2 {
			return got
		}
	}
}

// listCountsHoweverSpelled has Bob among the recipients too, so that the header
// must name the list.
func listCountsHoweverSpelled(t *testing.T, s site) {
	for field, counts := range map[string]bool{
		"To: <DEVEL@Lists.Example.ORG>":                                              true,
		"Cc: lists: x@example.net, devel@lists.example.org;":                         true,
		"To: (the\r\n list) devel@lists.example.org (Developers)":                    true,
		"To: \"Devel, core\"\r\n\t<\"devel\"@lists.example.org>":                     true,
		"To: =?utf-8?q?Gr=C3=BC=C3=9Fe?= <devel@lists.example.org>,\r\n x@y.example": true,
		"Resent-To: devel@lists.example.org":                                         true,
		"Resent-Cc: Devel <devel@lists.example.org>":                                 true,
		"Reply-To: devel@lists.example.org":                                          false,
		"To: \"devel@lists.example.org\" <bob@example.net>":                          false,
		"Cc: devel@lists.example.org.example.net":                                    false,
	} {
		m := s.deliver(t, "a@example.org", []string{"bob@example.net", "devel@lists.example.org"}, plain+field+"\r\n")
		if got := m.Raw("Archived-At"); (len(got) == 1) != counts {
			t.Errorf("%s: Archived-At %q", field, got)
		}
	}
}

// nullSendersListIDCounts is for list managers that send posts with the null
// sender.
func nullSendersListIDCounts(t *testing.T, s site) {
	to := []string{"bob@example.net"}
	checkStamped(t, s.deliver(t, "", to, plain+"To: devel@lists.example.org\r\nList-Id: <devel.lists.example.org>\r\n"))
	m := s.deliver(t, "", []string{"devel@lists.example.org"}, plain+"To: devel@lists.example.org\r\n")
	if got := m.Raw("Archived-At"); len(got) != 0 || len(m.Raw("Message-ID-MD5")) != 1 {
		t.Errorf("a notice to the list: Archived-At %q", got)
	}
}

func managerIsNotAList(t *testing.T, s site) {
	for from, to := range map[string]string{
		"":                  "devel-bounces+jane.doe=private.example.com@lists.example.org",
		"jane@example.com":  "devel-confirm+0123456789@lists.example.org",
		"john@example.com":  "devel-request@lists.example.org",
		"alice@example.com": "devel-owner@lists.example.org",
	} {
		m := s.deliver(t, from, []string{to}, plain+"To: "+to+"\r\n")
		if got := m.Raw("Archived-At"); len(got) != 0 || strings.Contains(s.daemon.Stderr(), to) {
			t.Errorf("%s: Archived-At %q", to, got)
		}
	}
}

// longIDNamesNothing has an id that Sendmail breaks at 2,040 octets with "!".
func longIDNamesNothing(t *testing.T, s site) {
	m := s.pass(t, s.mta.Remote(), strings.Replace(common, "Date", "Message-ID: <"+strings.Repeat("x", 3000)+"@example.org>\r\nDate", 1), "hello\r\n")
	if got := append(m.Raw("Message-ID-MD5"), m.Raw("Archived-At")...); len(got) != 0 {
		t.Errorf("stamped %q", got)
	}
	if !strings.Contains(s.daemon.Stderr(), "names no message") {
		t.Error("the log does not say why")
	}
}

func emptyIDIsPassedOver(t *testing.T, s site) {
	m := s.pass(t, s.mta.Remote(), common+"Message-ID:\r\nMessage-ID: <abc@example.org>\r\n", "hello\r\n")
	if got := m.Header("Message-ID-MD5"); len(got) != 1 || got[0] != "VP3JZR3MSKY5TQSMS5FHURHQXI" {
		t.Errorf("Message-ID-MD5 %q", got)
	}
}

// forgedFields returns an Archived-At field for each line of
// testdata/forged-archived-at.txt.
func forgedFields(t *testing.T) (fields []string) {
	t.Helper()
	data, err := os.ReadFile("../../testdata/forged-archived-at.txt")
	if err != nil {
		t.Fatal(err)
	}
	for value := range strings.Lines(string(data)) {
		value = strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t").Replace(strings.TrimSuffix(value, "\n"))
		fields = append(fields, "Archived-At: "+value+"\r\n")
	}
	return fields
}

func forgedSpellingsGo(t *testing.T, s site) {
	checkStamped(t, s.pass(t, s.mta.Remote(), common+"Message-ID: <1@example.org>\r\n"+strings.Join(forgedFields(t), ""), "hello\r\n"))
}

// TestSignatureOfAnotherSiteStaysValid has another site sign its Archived-At
// before ours is added: above it ours is outside of the signature (RFC 6376,
// section 5.4.2). A signature that oversigns the name forbids any addition.
func TestSignatureOfAnotherSiteStaysValid(t *testing.T) {
	for _, k := range kinds {
		for _, oversign := range []string{"", oversigned} {
			t.Run(k.name+" oversigned "+oversign, func(t *testing.T) {
				dir := t.TempDir()
				dkimKey(t, dir)
				signed := signedElsewhere(t, k, startSigner(t, dir, "relaxed/relaxed", oversign))
				if out, ok := checkSignature(t, dir, signed); !ok {
					t.Fatalf("does not verify at first:\n%s", out)
				}
				s := startSite(t, k, Options{})
				m := s.passRaw(t, s.mta.Remote(), signed.Data)
				if got := m.Raw("Archived-At"); len(got) != 2 || !strings.Contains(got[1], "elsewhere.example") {
					t.Errorf("Archived-At %q", got)
				}
				if out, ok := checkSignature(t, dir, m); ok != (oversign == "") {
					t.Errorf("after ours was added: verifies %v\n%s\n%s", ok, out, m.RawHeader())
				}
			})
		}
	}
}

// signedElsewhere returns a message of another site, as its MTA signed it.
func signedElsewhere(t *testing.T, k kind, signer string) Message {
	t.Helper()
	dir := t.TempDir()
	openParents(t, dir)
	sink := startSink(t)
	mta := k.start(t, Options{Dir: filepath.Join(dir, "mta"), Sink: sink.Addr(), Milters: []string{signer}})
	header := strings.Replace(common, "a@example.org", "devel@lists.example.org", 1) + "Message-ID: <1@example.org>\r\nArchived-At: <https://elsewhere.example/1>\r\n"
	s := site{k, mta, nil, sink}
	m := s.pass(t, mta.Local(), header, "hello\r\n")
	if !strings.Contains(strings.ToLower(strings.Join(m.Raw("DKIM-Signature"), "")), "archived-at") {
		t.Fatalf("Archived-At is not signed:\n%s", m.RawHeader())
	}
	return m
}
