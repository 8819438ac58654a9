package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/config"
	"permalink-milter/hashheader"
)

const (
	md5ABC    = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	sha1ABC   = "GZLPKEL44H7JOP7YXWIPYND25DN4RJAO"
	develList = "devel@lists.example.org"
)

func queryConfig() *config.Config {
	c := config.Default()
	for _, text := range []string{"https://a.example/{list}/{token}", "https://inbox.example/{listname}/{message_id}/", "https://h.example/m/{sha1}.html"} {
		c.Archives = append(c.Archives, config.Archive{URL: text})
	}
	return c
}

func TestWhatAnArgumentOfLookupMeans(t *testing.T) {
	id := query{hashes: idQuery("abc@example.org").hashes}
	for arg, want := range map[string]query{
		md5ABC:                         {hashes: []string{md5ABC}},
		strings.ToLower(md5ABC) + "-3": {hashes: []string{md5ABC}, ordinal: 3},
		sha1ABC:                        {hashes: []string{sha1ABC}},
		"<abc@example.org>":            id,
		" abc@\n example.org ":         id,
		"https://a.example/" + develList + "/" + md5ABC + "-2":                 {hashes: []string{md5ABC}, ordinal: 2, list: develList},
		"https://inbox.example/devel/abc@example.org/":                         id,
		"https://h.example/m/" + sha1ABC + ".html":                             {hashes: []string{sha1ABC}},
		"https://else.example/list/" + develList + "/message/" + sha1ABC + "/": {hashes: []string{sha1ABC}, list: develList},
		"https://else.example/":                                                {},
		"https://%zz":                                                          {},
	} {
		if diff := cmp.Diff(want, parseQuery(arg, queryConfig()), cmp.AllowUnexported(query{})); diff != "" {
			t.Errorf("%q:\n%s", arg, diff)
		}
	}
	if len(id.hashes) != 3 || id.hashes[0] != md5ABC || id.hashes[1] != sha1ABC {
		t.Error(id.hashes)
	}
}

func FuzzParseQuery(f *testing.F) {
	for _, arg := range []string{md5ABC + "-2", "<abc@example.org>", "https://a.example/a@b/" + md5ABC, "https://inbox.example/x/%00/"} {
		f.Add(arg)
	}
	c := queryConfig()
	f.Fuzz(func(t *testing.T, arg string) {
		q := parseQuery(arg, c)
		for _, hash := range q.hashes {
			if canonical, err := hashheader.CheckHash(hash); err != nil || canonical != hash {
				t.Errorf("%q means %q", arg, hash)
			}
		}
		if q.ordinal < 0 || q.ordinal > hashheader.MaxOrdinal {
			t.Errorf("%q means ordinal %d", arg, q.ordinal)
		}
	})
}
