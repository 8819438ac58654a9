package stamp_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/vectors"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
	"permalink-milter/registry/stamp/stamptest"
)

// archivesOf returns a change that makes archives of these templates, each with
// all lists of lists.example.org.
func archivesOf(t testing.TB, templates ...string) func(*stamp.Policy) {
	return func(p *stamp.Policy) {
		p.Archives = nil
		for _, text := range templates {
			url, err := hashheader.ParseTemplate(text)
			if err != nil {
				t.Fatal(err)
			}
			p.Archives = append(p.Archives, stamp.Archive{Name: text, Lists: []string{"*@lists.example.org"}, URL: url})
		}
	}
}

// decide stamps a message with a registry of its own.
func decide(t *testing.T, p *stamp.Policy, h hashheader.Header) (stamp.Decision, registry.Registry) {
	t.Helper()
	reg := registry.New(memreg.New(), registry.Options{})
	d := stamp.Decide(&stamp.Message{Header: h}, p, func(r registry.Request) (registry.Result, error) { return reg.Reserve(t.Context(), r) })
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	return d, reg
}

// Whatever URL is stamped is found again with its list, and with the token
// that was reserved where the URL shows one.
func TestWhatIsStampedIsLocatedAndRight(t *testing.T) {
	const date = "Date: Tue, 24 Nov 2026 11:00:00 +0000"
	templates := map[string]string{ // what Locate finds
		"https://a.example/{listname}/{year}-{month}/{md5:base64url}":        "token",
		"https://b.example/{list}/{sha1:hex}":                                "token",
		"https://c.example/{list_id}/{hash:base64url}":                       "token",
		"https://d.example/?l={list:query}&id={message_id:query}":            "token list",
		"https://e.example/{listname}/{token}={claim}":                       "token list claim",
		"https://f.example/{listname}/{sha1(message_id,listname):base64url}": "list",
		"https://g.example/{sha256(message_id,list)}":                        "",
	}
	for text := range templates {
		p := stamptest.Policy(t, archivesOf(t, text))
		for _, v := range vectors.Read(t, "../../testdata") {
			if v.Class != "mailer" {
				continue
			}
			h := stamptest.Header(date, listID, "Message-ID: <"+string(v.Canonical)+">")
			d, reg := decide(t, p, h)
			s := d.Stamps[0]
			l, ok := p.Locate(s.URL)
			if !ok || strings.Contains(templates[text], "list") && l.List != s.List {
				t.Fatalf("%s is located as %+v", s.URL, l)
			}
			if token := strings.Contains(templates[text], "token"); token != (l.Token != "") || token && l.Token != s.Token {
				t.Fatalf("%s is located as %q, reserved was %q", s.URL, l.Token, s.Token)
			}
			if l.Token != "" {
				if _, err := reg.Lookup(t.Context(), s.List, l.Token); err != nil {
					t.Fatal(err)
				}
			}
			if claim := strings.Contains(templates[text], "claim"); claim != (l.Reference() != l.Token) {
				t.Fatalf("%s refers to %s", s.URL, l.Reference())
			}
			h = append(h, hashheader.Field{Name: "Archived-At", Value: hashheader.ArchivedAt(s.URL)})
			if c := hashheader.Examine(h, p.Site())[2]; c.Result != hashheader.Pass {
				t.Fatalf("%s: %+v", s.URL, c)
			}
			if again, _ := decide(t, p, append(h, d.Fields[0])); len(again.Edits) > 0 {
				t.Fatalf("%s does not stay: %v", s.URL, edits(again))
			}
		}
	}
}

func TestATokenIsLocatedBeforeADigestThatShowsNone(t *testing.T) {
	p := stamptest.Policy(t, archivesOf(t, "https://a.example/{sha1(message_id,list)}", "https://a.example/{sha1}"))
	l, ok := p.Locate("https://a.example/" + sha1("abc@example.org"))
	if !ok || l.Token != sha1("abc@example.org") || l.Archive != &p.Archives[1] {
		t.Errorf("%+v", l)
	}
}

func TestTheHostOfAListIsThatOfTheArchive(t *testing.T) {
	for _, c := range []struct {
		lists, except []string
		fixed, want   string
	}{
		{[]string{"*@lists.example.org"}, nil, "", "devel@lists.example.org"},
		{[]string{"devel@Lists.example.org", "users@lists.example.org"}, nil, "", "devel@lists.example.org"},
		{nil, nil, "devel@lists.example.org", "devel@lists.example.org"},
		{[]string{"users@lists.example.org"}, nil, "", ""},
		{[]string{"*@lists.example.org"}, []string{"devel@*"}, "", ""},
		{[]string{"*@lists.example.org", "*@other.example"}, nil, "", ""},
		{[]string{"*@lists.example.org"}, nil, "devel@other.example", ""},
		{[]string{"*@*.example.org"}, nil, "", ""},
		{[]string{"*"}, nil, "", ""},
	} {
		p := stamptest.Policy(t, archivesOf(t, "https://a.example/{listname}/{token}"))
		p.Archives[0].Lists, p.Archives[0].Except, p.Archives[0].List = c.lists, c.except, c.fixed
		if l, ok := p.Locate("https://a.example/Devel/" + abcHash); !ok || l.List != c.want {
			t.Errorf("%v except %v, %q: %q, want %q", c.lists, c.except, c.fixed, l.List, c.want)
		}
	}
}

func TestAMessageWithoutADateGetsNoURLThatShowsOne(t *testing.T) {
	p := stamptest.Policy(t, archivesOf(t, "https://a.example/{year}/{token}", "https://b.example/{token}"))
	for _, date := range []string{"Subject: none", "Date: today", "Date: 31 Nov 2026 11:00:00 +0000"} {
		forged := "Archived-At: <https://a.example/2026/" + abcHash + ">"
		d, _ := decide(t, p, stamptest.Header(abc, listID, date, forged))
		want := []string{"delete Archived-At 1", stamped, "add Archived-At 0 <https://b.example/" + abcHash + ">"}
		if diff := cmp.Diff(want, edits(d)); diff != "" {
			t.Errorf("%s:\n%s", date, diff)
		}
		why := "no permalink on devel@lists.example.org of the archive https://a.example/{year}/{token}: the template needs a Date, and the message has none that can be read"
		if !slices.Contains(d.Notes, why) {
			t.Errorf("%s: %q", date, d.Notes)
		}
	}
}
