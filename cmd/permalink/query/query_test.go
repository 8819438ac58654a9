package query

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/registry/stamp"
)

const (
	md5ABC    = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	sha1ABC   = "GZLPKEL44H7JOP7YXWIPYND25DN4RJAO"
	develList = "devel@lists.example.org"
)

func policy(t testing.TB) *stamp.Policy {
	t.Helper()
	var p stamp.Policy
	for _, text := range []string{"https://a.example/{list}/{token}", "https://inbox.example/{listname}/{message_id}/", "https://h.example/m/{sha1}.html",
		"https://sympa.example/{listname}/{year}-{month}/{md5:base64url}", "https://claims.example/{hash}={claim}", "https://ietf.example/{listname}/{sha1(message_id,listname):base64url}", "https://q.example/?l={list:query}&id={message_id:query}"} {
		url, err := hashheader.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		p.Archives = append(p.Archives, stamp.Archive{Name: text, URL: url, Lists: []string{"*@lists.example.org"}})
	}
	return &p
}

func TestWhatAnArgumentOfLookupMeans(t *testing.T) {
	p := policy(t)
	id := Query{Hashes: ofID([]byte("abc@example.org")).Hashes}
	for arg, want := range map[string]Query{
		md5ABC:                         {Hashes: []string{md5ABC}},
		strings.ToLower(md5ABC) + "-3": {Hashes: []string{md5ABC}, Ordinal: 3},
		sha1ABC:                        {Hashes: []string{sha1ABC}},
		"<abc@example.org>":            id,
		" abc@\n example.org ":         id,
		"https://a.example/" + develList + "/" + md5ABC + "-2":                 {Hashes: []string{md5ABC}, Ordinal: 2, List: develList},
		"https://inbox.example/devel/abc@example.org/":                         {Hashes: id.Hashes, List: develList},
		"https://h.example/m/" + sha1ABC + ".html":                             {Hashes: []string{sha1ABC}},
		"https://else.example/list/" + develList + "/message/" + sha1ABC + "/": {Hashes: []string{sha1ABC}, List: develList},
		"https://sympa.example/devel/2026-11/q_acx2ySsdnCTJdKekTwug":           {Hashes: []string{md5ABC}, List: develList},
		"https://claims.example/" + md5ABC + "=0000ABCD":                       {Hashes: []string{md5ABC}, Claim: "0000abcd"},
		"https://ietf.example/devel/pwqEECoNbGCB5xt9EOcMr1TVIX4":               {URL: "https://ietf.example/devel/pwqEECoNbGCB5xt9EOcMr1TVIX4", List: develList},
		"https://q.example/?l=devel%40lists.example.org&id=abc%40example.org":  {Hashes: id.Hashes, List: develList},
		"https://else.example/":                                                {URL: "https://else.example/"},
		"https://%zz":                                                          {},
	} {
		got := Parse(arg, p)
		if got.Kind == "" {
			t.Errorf("%q: taken for nothing", arg)
		}
		got.Kind = ""
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q:\n%s", arg, diff)
		}
	}
	if len(id.Hashes) != 3 || id.Hashes[0] != md5ABC || id.Hashes[1] != sha1ABC {
		t.Error(id.Hashes)
	}
}

func FuzzParse(f *testing.F) {
	for _, arg := range []string{md5ABC + "-2", "<abc@example.org>", "https://a.example/a@b/" + md5ABC, "https://inbox.example/x/%00/"} {
		f.Add(arg)
	}
	p := policy(f)
	f.Fuzz(func(t *testing.T, arg string) {
		q := Parse(arg, p)
		for _, hash := range q.Hashes {
			if canonical, err := hashheader.CheckHash(hash); err != nil || canonical != hash {
				t.Errorf("%q means %q", arg, hash)
			}
		}
		if q.Ordinal < 0 || q.Ordinal > hashheader.MaxOrdinal {
			t.Errorf("%q means ordinal %d", arg, q.Ordinal)
		}
	})
}
