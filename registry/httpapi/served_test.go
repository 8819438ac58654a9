package httpapi_test

import (
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

// Whatever CheckArchive accepts is served: the resolver redirects from the URL
// that is stamped.
func TestPermalinksUnderTheBaseURLAreServedOrRefused(t *testing.T) {
	glob, one, host := []string{"*@lists.example.org"}, []string{list}, []string{"*@lists.example.org", "x@lists.example.org"}
	for _, c := range []struct {
		url     string
		lists   []string
		refused string
	}{
		{base + "/{list}/{token}", glob, ""},
		{base + "/{list}/{token}/", glob, ""},
		{base + "/p/{list}/{token}", glob, ""},
		{base + "/p/{token}", one, ""},
		{base + "/p/{token}", glob, "cannot tell list and token"},
		{base + "/{token}", one, ""},
		{base + "/{listname}/{token}", host, ""},
		{base + "/{listname}/{host}/{md5}", glob, ""},
		{base + "/{listname}/{token}", []string{"*@*.example.org"}, "cannot tell list and token"},
		{base + "/{list}/message/{sha1}/", glob, ""},
		{base + "/{list}/{message_id}", glob, ""},
		{base + "/static/{token}", one, "another page"},
		{base + "/api/v1/hashes/{list}/{hash}", glob, "another page"},
		{base + "/p?list={list}&token={token}", glob, "cannot tell list and token"},
		{"https://PERMALINK.example.org/{list}/{token}", glob, "begin it as that does"},
		{"https://elsewhere.example/{token}", glob, ""},
	} {
		a := stamp.Archive{Name: "a", Lists: c.lists, URL: template(t, c.url), Target: template(t, "https://target.example/{token}")}
		p := must(stamp.NewPolicy(stamp.Policy{Archives: []stamp.Archive{a}}))
		err := httpapi.CheckArchive(base, p, &p.Archives[0])
		if (err != nil) != (c.refused != "") || err != nil && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("%s of %s: %v, want %q", c.url, c.lists, err, c.refused)
		}
		if err != nil || !strings.HasPrefix(c.url, base) {
			continue
		}
		g := registry.New(memreg.New(), registry.Options{Now: now})
		d := stamp.Decide(&stamp.Message{Header: hashheader.Header{{Name: "Message-ID", Value: "<a/b@example.org>"}}, Lists: []string{list}}, p,
			func(r registry.Request) (registry.Result, error) { return g.Reserve(t.Context(), r) })
		h := newHandler(t, httpapi.Options{Registry: g, Policy: p})
		answer := do(h, "GET", strings.TrimPrefix(d.Stamps[0].URL, base))
		if answer.StatusCode != 302 || answer.Header.Get("Location") != "https://target.example/"+d.Stamps[0].Token {
			t.Errorf("%s: %d to %q", d.Stamps[0].URL, answer.StatusCode, answer.Header.Get("Location"))
		}
		if answer := do(h, "POST", strings.TrimPrefix(d.Stamps[0].URL, base)); answer.StatusCode < 400 {
			t.Errorf("POST %s: %d", d.Stamps[0].URL, answer.StatusCode)
		}
	}
}
