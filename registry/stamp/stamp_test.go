package stamp_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
	"permalink-milter/registry/stamp/stamptest"
)

const (
	abc      = "Message-ID: <abc@example.org>"
	abcHash  = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	abcURL   = "https://lists.example.org/devel@lists.example.org/"
	listID   = "List-Id: Dev <devel.lists.example.org>"
	stamped  = "add Message-ID-MD5 0 " + abcHash
	archived = "add Archived-At 0 <" + abcURL + abcHash + ">"
)

// envelope returns that of a message from outside to these recipients, nil for
// none.
func envelope(to []string) *stamp.Envelope {
	if to == nil {
		return nil
	}
	return &stamp.Envelope{From: "alice@example.net", To: to}
}

func edits(d stamp.Decision) (out []string) {
	for _, e := range d.Edits {
		out = append(out, strings.TrimRight(fmt.Sprintf("%s %s %d %s", e.Op, e.Name, e.Index, e.Value), " "))
	}
	return out
}

func TestDecide(t *testing.T) {
	for name, c := range map[string]struct {
		header  []string
		rcpt    []string
		msgID   string
		policy  func(*stamp.Policy)
		want    []string
		outcome string
	}{
		"a list message is stamped": {header: []string{abc, listID}, want: []string{stamped, archived}},
		"List-Post tells the list": {
			header: []string{abc, "List-Post: <mailto:Devel@lists.example.org?subject=x>"}, want: []string{stamped, archived}},
		"before the list manager the envelope tells": {
			header: []string{abc, "To: devel@lists.example.org"}, rcpt: []string{"x@example.net", "devel@LISTS.example.org"}, want: []string{stamped, archived}},
		"no archive: the hash alone":             {header: []string{abc}, want: []string{stamped}},
		"no archive and nothing wanted":          {header: []string{abc}, policy: func(p *stamp.Policy) { p.HashUnmatched = false }},
		"what is right stays":                    {header: []string{abc, listID, "message-id-md5: " + abcHash, "Archived-At: <" + abcURL + abcHash + ">"}},
		"a folded permalink that is right stays": {header: []string{abc, listID, "Message-ID-MD5: " + abcHash, "Archived-At:\n <" + abcURL + "\n " + abcHash + ">"}},
		"forged and doubled fields go, from the last up": {
			header: []string{abc, "Message-ID-MD5: FORGED", "Message-ID-MD5: " + abcHash, "Message-ID-MD5: " + abcHash, "X-Message-ID-Hash: x", "X-Message-ID-Hash: y"},
			want:   []string{"delete Message-ID-MD5 3", "delete Message-ID-MD5 1", "delete X-Message-ID-Hash 2", "delete X-Message-ID-Hash 1"}},
		"other sites' Archived-At stays, a forged one under our prefix goes": {
			header: []string{abc, "Message-ID-MD5: " + abcHash, "Archived-At: <https://other.example/1>", "Archived-At: <" + abcURL + "FORGED>", "Archived-At: <>"},
			want:   []string{"delete Archived-At 2"}},
		"the first of two Message-IDs counts": {header: []string{abc, "Message-ID: <other@example.org>"}, want: []string{stamped}},
		"a folded Message-ID":                 {header: []string{"Message-ID:\n <abc@exam\n\tple.org>"}, want: []string{stamped}},
		"an 8-bit Message-ID":                 {header: []string{"Message-ID: <gr\xfc@example.org>"}, want: []string{"add Message-ID-MD5 0 " + md5("gr\xfc@example.org")}},
		"the longest Message-ID that names a message": {header: []string{"Message-ID: <" + strings.Repeat("x", 998) + ">"},
			want: []string{"add Message-ID-MD5 0 " + md5(strings.Repeat("x", 998))}},
		"a longer Message-ID names nothing": {header: []string{"Message-ID: <" + strings.Repeat("x", 999) + ">", "Message-ID-MD5: " + abcHash, listID},
			want: []string{"delete Message-ID-MD5 1"}},
		"the first Message-ID with an id in it counts": {header: []string{"Message-ID: <>", abc, "Message-ID: <other@example.org>"}, want: []string{stamped}},
		"Mailman's empty Archived-At gives way": {header: []string{abc, listID, "Message-ID-MD5: " + abcHash, "Archived-At: <>"},
			want: []string{"delete Archived-At 1", archived}},
		"our Archived-At goes above another site's": {header: []string{abc, listID, "Message-ID-MD5: " + abcHash, "Archived-At: <https://other.example/1>"},
			want: []string{strings.Replace(archived, "add", "insert", 1)}},
		"a missing Message-ID is derived": {header: []string{"From: A <a@example.org>", "Date: today"},
			want: []string{"add Message-ID 0 <BMJZWSMWNO23XY6YFRDPXTPC4A.derived@example.org>", "add Message-ID-MD5 0 " + md5("BMJZWSMWNO23XY6YFRDPXTPC4A.derived@example.org")}},
		"an empty Message-ID is replaced": {header: []string{"Message-ID: <>", "From: A <a@example.org>", "Date: today"},
			want: []string{"replace Message-ID 1 <BMJZWSMWNO23XY6YFRDPXTPC4A.derived@example.org>", "add Message-ID-MD5 0 " + md5("BMJZWSMWNO23XY6YFRDPXTPC4A.derived@example.org")}},
		"the MTA's own Message-ID is used":              {header: []string{"From: a@example.org"}, msgID: "<abc@example.org>", want: []string{stamped}},
		"a message to be skipped loses our fields only": {header: []string{"Message-ID-MD5: " + abcHash}, policy: func(p *stamp.Policy) { p.Missing = stamp.MissingSkip }, want: []string{"delete Message-ID-MD5 1"}},
		"several hash fields": {header: []string{abc}, policy: func(p *stamp.Policy) { p.Emit = []string{"List-Message-ID-MD5", "Message-ID-Hash"} },
			want: []string{"add List-Message-ID-MD5 0 " + abcHash, "add Message-ID-Hash 0 " + sha1("abc@example.org")}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &stamp.Message{Header: stamptest.Header(c.header...), Envelope: envelope(c.rcpt), MTAMessageID: c.msgID}
			reg := registry.New(memreg.New(), registry.Options{})
			d := stamp.Decide(m, stamptest.Policy(t, c.policy), func(r registry.Request) (registry.Result, error) { return reg.Reserve(t.Context(), r) })
			if diff := cmp.Diff(c.want, edits(d)); diff != "" || d.Err != nil {
				t.Errorf("%v\n%s", d.Err, diff)
			}
		})
	}
}

func md5(id string) string  { hash, _ := hashheader.MD5.Hash([]byte(id)); return hash }
func sha1(id string) string { hash, _ := hashheader.SHA1.Hash([]byte(id)); return hash }

func TestCollisionTakesTheNextTokenUnlessShared(t *testing.T) {
	reg := registry.New(memreg.New(), registry.Options{})
	reserve := func(r registry.Request) (registry.Result, error) { return reg.Reserve(t.Context(), r) }
	p := stamptest.Policy(t, func(p *stamp.Policy) {
		shared := p.Archives[0]
		shared.Name, shared.Share = "shared", true
		p.Archives = append(p.Archives, shared)
	})
	for i, want := range []string{"", "-2", "-3"} {
		m := &stamp.Message{Header: stamptest.Header(abc, listID, fmt.Sprintf("Date: %d", i))}
		d := stamp.Decide(m, p, reserve)
		if len(d.Stamps) != 2 || d.Stamps[0].Token != abcHash+want || d.Stamps[1].Token != abcHash {
			t.Errorf("message %d: %+v", i, d.Stamps)
		}
	}
}

func TestRegistryFailure(t *testing.T) {
	down := func(registry.Request) (registry.Result, error) {
		return registry.Result{}, fmt.Errorf("dial: %w", registry.ErrUnavailable)
	}
	for mode, want := range map[stamp.FailureMode][]string{
		stamp.FailureStamp: {stamped, archived}, stamp.FailureTempfail: nil, stamp.FailureAccept: nil,
	} {
		d := stamp.Decide(&stamp.Message{Header: stamptest.Header(abc, listID)}, stamptest.Policy(t, func(p *stamp.Policy) { p.OnFailure = mode }), down)
		if diff := cmp.Diff(want, edits(d)); diff != "" || d.TempFail != (mode == stamp.FailureTempfail) || !errors.Is(d.Err, registry.ErrUnavailable) {
			t.Errorf("%s: %+v\n%s", mode, d, diff)
		}
	}
}

func TestWhichList(t *testing.T) {
	const to, blind = "devel@lists.example.org", "layoffs@lists.example.org"
	bob := []string{"bob@example.net", blind}
	for name, c := range map[string]struct {
		header []string
		from   string
		rcpt   []string // nil: no envelope
		want   []string
	}{
		"a blind list beside another recipient is not named": {header: []string{"To: bob@example.net"}, rcpt: bob},
		"a blind list beside a named list is not named":      {header: []string{"To: " + to}, rcpt: []string{to, blind}, want: []string{to}},
		"a list that is the only recipient counts":           {header: []string{"To: undisclosed-recipients:;"}, rcpt: []string{blind}, want: []string{blind}},
		"Cc names a list":                                      {header: []string{"To: bob@example.net", "Cc: x@y.example, Devel <DEVEL@lists.example.org>"}, rcpt: []string{to, "bob@example.net"}, want: []string{to}},
		"Resent-To names a list":                               {header: []string{"To: bob@example.net", "Resent-To: " + to}, rcpt: []string{to, "bob@example.net"}, want: []string{to}},
		"a group names its members":                            {header: []string{"To: lists: devel@lists.example.org, x@y.example;"}, rcpt: []string{to, "bob@example.net"}, want: []string{to}},
		"comments, quoting, encoded words and folds are read":  {header: []string{"To: =?iso-8859-1?q?Gr=FC=DFe?= (a, b)\n <devel@lists.example.org> (c)"}, rcpt: []string{to, "bob@example.net"}, want: []string{to}},
		"a second To field counts":                             {header: []string{"To: bob@example.net", "To: " + to}, rcpt: []string{to, "bob@example.net"}, want: []string{to}},
		"a field that does not parse names what it spells out": {header: []string{"To: Devel [core] <devel@lists.example.org>"}, rcpt: []string{to, "bob@example.net"}, want: []string{to}},
		"a part of a longer address does not name a list":      {header: []string{"To: Devel [core] <x-layoffs@lists.example.org.example>"}, rcpt: bob},
		"a display name does not name a list":                  {header: []string{`To: "layoffs@lists.example.org" <bob@example.net>`}, rcpt: bob},
		"without an envelope To and Cc stand for it":           {header: []string{"To: " + to, "Cc: x@lists.example.org"}, want: []string{to, "x@lists.example.org"}},
		"the null sender's envelope names no list":             {header: []string{"To: " + to}, from: "<>", rcpt: []string{to}},
		"the null sender's List-Id does":                       {header: []string{listID}, from: "<>", rcpt: []string{"x@example.net"}, want: []string{to}},
		"a manager's own addresses are not lists":              {header: []string{"To: devel-owner@lists.example.org"}, rcpt: []string{"devel-owner@lists.example.org"}},
		"nor are they with a detail":                           {rcpt: []string{"devel-bounces+jane.doe=private.example.com@lists.example.org"}},
		"nor in List-Post":                                     {header: []string{"List-Post: <mailto:devel-request@lists.example.org>"}},
		"X-No-Archive of any value keeps a message out":        {header: []string{listID, "X-No-Archive: no"}},
		"X-Archive: no keeps a message out":                    {header: []string{listID, "X-Archive: No"}},
		"X-Archive: yes does not":                              {header: []string{listID, "X-Archive: yes"}, want: []string{to}},
		"a post of Mailman 3":                                  {header: []string{listID, "X-Mailman-Version: 3.3.8", "List-Archive: <https://x>", "Message-ID-Hash: X"}, want: []string{to}},
		"a post of Mailman 3 while its archiver is down":       {header: []string{listID, "X-Mailman-Version: 3.3.8", "List-Archive: <>", "Message-ID-Hash: X"}, want: []string{to}},
		"a notice of Mailman 3":                                {header: []string{listID, "X-Mailman-Version: 3.3.8", "List-Archive: <https://x>"}},
		"a post to a Mailman 3 list without an archive":        {header: []string{listID, "X-Mailman-Version: 3.3.8", "Message-ID-Hash: X"}},
		"a post of Sympa, which writes X-No-Archive":           {header: []string{listID, "X-Loop: devel@lists.example.org", "X-No-Archive: yes"}, want: []string{to}},
		"X-Loop of another list does not lift X-No-Archive":    {header: []string{listID, "X-Loop: x@lists.example.org", "X-No-Archive: yes", "List-Archive: <https://x>"}},
		"X-No-Archive that Sympa found is the author's":        {header: []string{listID, "X-No-Archive: yes", "X-Loop: devel@lists.example.org", "List-Archive: <https://x>"}},
		"a digest of Sympa":                                    {header: []string{listID, "From: Devel-Owner@lists.example.org", "List-Archive: <https://x>"}},
		"a digest of mlmmj":                                    {header: []string{listID, "From: devel+help@lists.example.org"}},
		"an author whose address looks alike elsewhere":        {header: []string{listID, "From: devel-request@example.org"}, want: []string{to}},
		"an author whose address looks alike beside it":        {header: []string{listID, "From: devel-tools@lists.example.org"}, want: []string{to}},
		"the owner's own post, where Mailman 3 says so":        {header: []string{listID, "From: devel-owner@lists.example.org", "X-Mailman-Version: 3.3.8", "List-Archive: <https://x>", "Message-ID-Hash: X"}, want: []string{to}},
		"an address that encodes a subscriber's is no list":    {rcpt: []string{"devel+confsub-6cae99555f9a1301-jane=example.com@lists.example.org"}},
		"mlmmj's addresses are no lists":                       {rcpt: []string{"devel+unsubscribe-digest@lists.example.org"}},
		"a list may have a plus in its name":                   {rcpt: []string{"c++@lists.example.org"}, want: []string{"c++@lists.example.org"}},
		"a post of Mailman 2, which writes no Message-ID-Hash": {header: []string{listID, "X-Mailman-Version: 2.1.39"}, want: []string{to}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &stamp.Message{Header: stamptest.Header(append([]string{abc}, c.header...)...)}
			if c.rcpt != nil {
				m.Envelope = &stamp.Envelope{From: sender(c.from), To: c.rcpt}
			}
			var got []string
			d := stamp.Decide(m, stamptest.Policy(t, func(p *stamp.Policy) {
				p.Archives[0].Except = config.DefaultExcept()
			}), func(r registry.Request) (registry.Result, error) {
				got = append(got, r.List)
				return registry.Result{Reservation: registry.Reservation{List: r.List, Hash: r.Hash, Ordinal: 1}}, nil
			})
			if diff := cmp.Diff(c.want, got); diff != "" || d.Hash != abcHash {
				t.Errorf("%+v\n%s", d, diff)
			}
		})
	}
}

// sender returns the reverse-path of a case: alice's by default, "<>" is null.
func sender(from string) string {
	switch from {
	case "":
		return "alice@example.net"
	case "<>":
		return ""
	}
	return from
}

func TestAMessageIsForAtMost20Lists(t *testing.T) {
	var to []string
	for i := range 50 {
		to = append(to, fmt.Sprintf("l%d@lists.example.org", i))
	}
	m := &stamp.Message{Header: stamptest.Header(abc, "To: "+strings.Join(to, ", "))}
	asked := 0
	d := stamp.Decide(m, stamptest.Policy(t, nil), func(r registry.Request) (registry.Result, error) {
		asked++
		return registry.Result{Reservation: registry.Reservation{List: r.List, Hash: r.Hash, Ordinal: 1}}, nil
	})
	if asked != 20 || len(d.Stamps) != 20 || len(d.Notes) != 1 {
		t.Errorf("asked %d times: %v", asked, d.Notes)
	}
}

func TestTheTokenIsOfTheAlgorithmThatTheURLShows(t *testing.T) {
	p := stamptest.Policy(t, func(p *stamp.Policy) {
		url, err := hashheader.ParseTemplate("https://hyperkitty.example.org/{list}/message/{sha1}/")
		if err != nil {
			t.Fatal(err)
		}
		p.Archives = append(p.Archives, stamp.Archive{Name: "hyperkitty", Lists: []string{"*"}, URL: url})
	})
	reg := registry.New(memreg.New(), registry.Options{})
	d := stamp.Decide(&stamp.Message{Header: stamptest.Header(abc, listID)}, p, func(r registry.Request) (registry.Result, error) { return reg.Reserve(t.Context(), r) })
	if len(d.Stamps) != 2 || d.Stamps[0].Token != abcHash || d.Stamps[1].Token != sha1("abc@example.org") {
		t.Fatalf("%+v", d.Stamps)
	}
	for _, s := range d.Stamps {
		if _, err := reg.Lookup(t.Context(), s.List, s.Token); err != nil {
			t.Error(err)
		}
	}
}

func TestForgedPermalinksGoHoweverTheyAreSpelled(t *testing.T) {
	for _, value := range []string{
		"<HTTPS://lists.example.org/devel@lists.example.org/X>", "<https://LISTS.example.org/X>", "<https://lists.example.org:443/X>",
		"<https://lists.example.org./X>", "<https://me:pw@lists.example.org/X>", "<https://lists.example.org/%64evel/X>",
		"<http://lists.example.org/X>", "<http://lists.example.org:80/X>", "<https://lists.example.org/./X>", "<https://lists.example.org//X>",
		"<https://lists.example.org/a/../X>", "see <https://lists.example.org/X>", "(comment) <https://lists.example.org/X>",
		`"<https://lists.example.org/X>"`, "https://lists.example.org/X", "<<https://lists.example.org/X>>", "<https://lists.example.org/X> <https://other.example/>",
		"<https://%6cists.example.org/X>", "<https:\\\\lists.example.org\\X>",
	} {
		d := stamp.Decide(&stamp.Message{Header: stamptest.Header(abc, "Message-ID-MD5: "+abcHash, "Archived-At: "+value)}, stamptest.Policy(t, nil), nil)
		if diff := cmp.Diff([]string{"delete Archived-At 1"}, edits(d)); diff != "" {
			t.Errorf("%s\n%s", value, diff)
		}
	}
	for _, value := range []string{"<https://other.example/lists.example.org/X>", "<https://lists.example.org.other.example/X>", "<mailto:x@lists.example.org>", "<https://lists.example.org:8443/X>"} {
		d := stamp.Decide(&stamp.Message{Header: stamptest.Header(abc, "Message-ID-MD5: "+abcHash, "Archived-At: "+value)}, stamptest.Policy(t, nil), nil)
		if len(d.Edits) > 0 {
			t.Errorf("%s: %v", value, edits(d))
		}
	}
}
