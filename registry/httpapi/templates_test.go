package httpapi_test

import (
	"net/url"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/stamp"
)

// otherForms is one archive of devel for each template.
func otherForms(t *testing.T, templates ...string) *stamp.Policy {
	p := policy(t)
	p.Archives = nil
	for _, text := range templates {
		p.Archives = append(p.Archives, stamp.Archive{Name: text, Lists: []string{list}, URL: template(t, text)})
	}
	return p
}

func TestTheResolverFillsEveryFormThatTheHashCan(t *testing.T) {
	for text, want := range map[string]string{
		"https://a.example/{listname}/{md5:base64url}":       "https://a.example/devel/-q1Jhm6UmPwXGfUonnoCaQ",
		"https://a.example/?l={list:query}&h={hash:hex}":     "https://a.example/?l=devel%40lists.example.org&h=faad49866e9498fc1719f5289e7a0269",
		"https://a.example/{md5(list)}/{token}":              "https://a.example/",
		"https://a.example/{year}/{md5:base64url}":           "",
		"https://a.example/{sha1(message_id,listname):hex}":  "",
		"https://a.example/{message_id:query}":               "",
		"https://a.example/{hash}/{sha256(message_id,host)}": "",
	} {
		h := newHandler(t, httpapi.Options{Registry: reserved(t, list, 1), Policy: otherForms(t, text)})
		answer := do(h, "GET", "/"+list+"/"+hash)
		got := answer.Header.Get("Location")
		if text == "https://a.example/{md5(list)}/{token}" {
			digest, _ := hashheader.MD5.Hash([]byte(list))
			want += digest + "/" + hash
		}
		if got != want || want == "" && answer.StatusCode != 404 {
			t.Errorf("%s: %d %s, want %q", text, answer.StatusCode, got, want)
		}
	}
}

func TestAPermalinkOfAnyFormIsSearchedFor(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: prepared(t), Rate: -1, Policy: otherForms(t, "https://a.example/{list}/{year}-{month}/{md5:hex}",
		"https://b.example/{hash}={claim}", "https://c.example/{list}/{sha1(message_id,listname):base64url}", "https://d.example/?id={message_id:query}")})
	for link, c := range map[string]struct {
		status int
		want   string
	}{
		"https://a.example/" + list + "/2026-11/faad49866e9498fc1719f5289e7a0269": {200, "3 messages share this hash"},
		"https://b.example/" + hash + "=" + claim(2):                              {200, hash + "-2"},
		"https://d.example/?id=" + firstID:                                        {200, "3 messages share this hash"},
		"https://c.example/" + list + "/pwqEECoNbGCB5xt9EOcMr1TVIX4":              {400, "this permalink shows no token: write the Message-ID"},
	} {
		answer := do(h, "GET", "/search?q="+url.QueryEscape(link))
		if page := text(answer); answer.StatusCode != c.status || !strings.Contains(page, c.want) {
			t.Errorf("%s: %d, want %d %s\n%s", link, answer.StatusCode, c.status, c.want, page)
		}
	}
}
