package httpapi_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

const asJSON = "Accept: application/json"

// claim returns the claim of the message with identity n.
func claim(n int) string { return identity(n).Claim() }

// Anyone can give a hash hundreds of messages by mail. The choice among them
// stays small, and hides no archived one.
func TestAChoiceIsBounded(t *testing.T) {
	g := registry.New(memreg.New(), registry.Options{Now: now})
	for n := range 300 {
		must(g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(n)}))
	}
	for _, ordinal := range []string{"-200", "-300"} {
		must(g.Confirm(t.Context(), registry.Confirmation{List: list, Token: hash + ordinal, URL: "https://archive.example/" + ordinal}))
	}
	h := newHandler(t, httpapi.Options{Registry: g})
	for target, wants := range map[string][]string{
		"/" + list + "/" + hash:           {"300 messages have the same hash.", "280 of them are not shown"},
		"/search?q=" + hash:               {"300 messages share this hash.", "280 of them are not shown"},
		"/" + list + "/" + hash + "?json": {`"more": 280`},
	} {
		accept := ""
		if strings.HasSuffix(target, "json") {
			accept = asJSON
		}
		body := text(do(h, "GET", target, accept))
		for _, want := range append(wants, "https://archive.example/-200", "https://archive.example/-300", hash+"-18") {
			if !strings.Contains(body, want) {
				t.Errorf("%s lacks %q", target, want)
			}
		}
		if strings.Contains(body, hash+"-19") || len(body) > 30_000 {
			t.Errorf("%s has %d bytes", target, len(body))
		}
	}
}

func TestResolver(t *testing.T) {
	g := prepared(t)
	reserve := func(list string) {
		must(g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(1)}))
	}
	confirm := func(list, url string) {
		reserve(list)
		must(g.Confirm(t.Context(), registry.Confirmation{List: list, Token: hash, URL: url}))
	}
	for _, list := range []string{"x@one.example.org", "users@lists.example.org", "ids@lists.example.org", "loop@lists.example.org", "nobody@lists.example.org"} {
		reserve(list)
	}
	confirm("moved@one.example.org", "https://archive.example/a?b=c#d")
	confirm("script@one.example.org", "ftp://archive.example/1")
	confirm("self@one.example.org", base+"/self@one.example.org/"+hash)
	confirm("name@one.example.org", "https://one.example@evil.example/")
	for n := range 3 {
		for _, list := range []string{"flood@one.example.org", "two@one.example.org", "three@one.example.org"} {
			must(g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(n + 1)}))
		}
	}
	must(g.Confirm(t.Context(), registry.Confirmation{List: "flood@one.example.org", Token: hash, URL: "https://archive.example/first"}))
	must(g.Confirm(t.Context(), registry.Confirmation{List: "two@one.example.org", Token: hash, URL: "https://archive.example/1", Subject: "<b>Bold & brash</b>"}))
	must(g.Confirm(t.Context(), registry.Confirmation{List: "two@one.example.org", Token: hash + "-2", URL: "https://archive.example/2"}))
	h := newHandler(t, httpapi.Options{Registry: g})
	for name, c := range map[string]struct {
		target, accept string
		status         int
		want           string // the Location, or part of the body
	}{
		"a reserved one leads to the archive's template": {"/x@one.example.org/" + hash, "", 302, "https://one.example/x@one.example.org/" + hash},
		"in any case":                           {"/X@One.Example.ORG/" + strings.ToLower(hash), "", 302, "https://one.example/x@one.example.org/" + hash},
		"with an escaped @":                     {"/x%40one.example.org/" + hash, "", 302, "https://one.example/x@one.example.org/" + hash},
		"with a query that is left out":         {"/x@one.example.org/" + hash + "?u=https://evil.example", "", 302, "https://one.example/x@one.example.org/" + hash},
		"as JSON it is a redirect too":          {"/x@one.example.org/" + hash, asJSON, 302, "https://one.example/x@one.example.org/" + hash},
		"an archived one leads to its URL":      {"/moved@one.example.org/" + hash, "", 301, "https://archive.example/a?b=c#d"},
		"a collision's token leads to its own":  {"/" + list + "/" + hash + "-2", "", 302, "https://one.example/devel@lists.example.org/" + hash + "-2"},
		"a collision's archived one, too":       {"/" + list + "/" + hash + "-3", "", 301, "https://one.example/3"},
		"reservations do not hide the archived": {"/" + list + "/" + hash, "", 302, "https://one.example/3"},
		"the first is archived, others came":    {"/flood@one.example.org/" + hash, "", 301, "https://archive.example/first"},
		"two archived ones offer the choice":    {"/two@one.example.org/" + hash, "", 300, "&lt;b&gt;Bold &amp; brash&lt;/b&gt;"},
		"two archived ones as JSON":             {"/two@one.example.org/" + hash, asJSON, 300, `"url": "https://archive.example/2"`},
		"a choice links no reserved one": {"/two@one.example.org/" + hash, asJSON, 300, `-3",
      "state": "reserved",
      "since": "2026-11-24T11:00:00Z",
      "permalink": "` + base + `/two@one.example.org/` + hash + "=" + claim(3) + `",
      "links": []`},
		"reserved ones offer the choice":         {"/three@one.example.org/" + hash, "", 300, "No archive has confirmed it yet"},
		"a claim finds its message":              {"/two@one.example.org/" + hash + "=" + claim(2), "", 301, "https://archive.example/2"},
		"a claim of more digits":                 {"/two@one.example.org/" + hash + "=" + identity(2).String(), "", 301, "https://archive.example/2"},
		"a claim in upper case":                  {"/two@one.example.org/" + hash + "=" + strings.ToUpper(claim(2)), "", 301, "https://archive.example/2"},
		"a claim behind another's token":         {"/two@one.example.org/" + hash + "-3=" + claim(2), "", 301, "https://archive.example/2"},
		"a claim of a reserved one":              {"/two@one.example.org/" + hash + "=" + claim(3), "", 302, "https://one.example/two@one.example.org/" + hash + "-3"},
		"an unknown claim":                       {"/two@one.example.org/" + hash + "=00000000", "", 404, "letter by letter"},
		"a claim that is too short":              {"/two@one.example.org/" + hash + "=" + claim(2)[:7], "", 404, "ot a permalink of this server"},
		"several archives offer the choice":      {"/users@lists.example.org/" + hash, "", 300, `<a href="https://second.example/users/` + hash + `"`},
		"several archives as JSON":               {"/users@lists.example.org/" + hash, asJSON, 300, `"archive": "second"`},
		"a template of Message-IDs waits":        {"/ids@lists.example.org/" + hash, "", 404, "No archive has confirmed it yet"},
		"a template of ours makes no loop":       {"/loop@lists.example.org/" + hash, "", 404, "No archive has confirmed it yet"},
		"a list without an archive waits":        {"/nobody@lists.example.org/" + hash, asJSON, 404, `"links": []`},
		"a confirmed ftp URL is not followed":    {"/script@one.example.org/" + hash, "", 302, "https://one.example/script@one.example.org/" + hash},
		"one confirmed as itself makes no loop":  {"/self@one.example.org/" + hash, "", 302, "https://one.example/self@one.example.org/" + hash},
		"a name in a URL is not followed":        {"/name@one.example.org/" + hash, "", 302, "https://one.example/name@one.example.org/" + hash},
		"an unknown one is a page":               {"/other@one.example.org/" + hash, "", 404, "letter by letter"},
		"an unknown one as JSON":                 {"/other@one.example.org/" + hash, asJSON, 404, "urn:permalink-milter:problem:no-permalink"},
		"an invalid token is a page":             {"/x@one.example.org/index.php", "", 404, "Find a permalink"},
		"an invalid list is a page":              {"/wp-admin/" + hash, "", 404, "ot a permalink of this server"},
		"a line end in the list ends no header":  {"/x%0d%0aSet-Cookie:%20a=b@one.example.org/" + hash, "", 404, "ot a permalink of this server"},
		"a line end in the token ends no header": {"/x@one.example.org/" + hash + "%0d%0aLocation:%20https:%2f%2fevil.example", "", 404, "ot a permalink of this server"},
		"HTML in the list is text":               {"/%3Cscript%3Ealert(1)%3C%2Fscript%3E@a.example/" + hash, "", 404, "&lt;script&gt;alert(1)&lt;/script&gt;"},
		"HTML in the token is text":              {"/x@a.example/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "", 404, "&lt;script&gt;"},
		"two slashes lead to no other host":      {"//evil.example/x", "", 307, "/evil.example/x"},
		"a backslash leads to no other host":     {`/\evil.example/` + hash, "", 404, "ot a permalink of this server"},
		"what is escaped stays so":               {"//x%40one.example.org/./" + hash + "/?a=%40", "", 307, "/x%40one.example.org/" + hash + "/?a=%40"},
		"an escaped backslash, too":              {"/a/../%5cevil.example/" + hash, "", 307, "/%5cevil.example/" + hash},
		"a path that climbs stays here":          {"/a/../../evil@one.example.org/" + hash, "", 307, "/evil@one.example.org/" + hash},
		"a URL as the list is none":              {"/https:%2f%2fevil.example@x.example/" + hash, "", 404, "ot a permalink of this server"},
		"a bad byte in the list is text":         {"/%ff%fe@one.example.org/" + hash, asJSON, 404, "no-permalink"},
		"a path of thousands of segments is 404": {strings.Repeat("/a", 3000), "", 404, "There is nothing here"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := do(h, "GET", c.target, c.accept)
			got := answer.Header.Get("Location")
			if answer.StatusCode < 301 || answer.StatusCode > 308 {
				got = text(answer)
			}
			redirect := strings.HasPrefix(c.want, "http") || strings.HasPrefix(c.want, "/")
			if answer.StatusCode != c.status || redirect && got != c.want || !strings.Contains(got, c.want) {
				t.Errorf("%d %s, want %d %s", answer.StatusCode, got, c.status, c.want)
			}
			if strings.Contains(got, "<script>alert") || answer.Header.Get("Set-Cookie") != "" {
				t.Errorf("it got through: %v %s", answer.Header, got)
			}
			head := do(h, "HEAD", c.target, c.accept)
			if head.StatusCode != c.status || head.Header.Get("Location") != answer.Header.Get("Location") {
				t.Errorf("HEAD: %d %s", head.StatusCode, head.Header.Get("Location"))
			}
		})
	}
}

// Everything that the choice links opens: where an archive confirms, a message
// that it has not confirmed may be a forgery that it never gets.
func TestTheChoiceLinksOnlyWhatOpens(t *testing.T) {
	for archived, want := range map[int]string{0: "1 2 3", 1: "", 2: "1 2", 3: "1 2 3"} {
		g := reserved(t, list, 3)
		for n := 1; n <= archived; n++ {
			c := registry.Confirmation{List: list, Token: hashheader.Token(hash, n), URL: "https://archive.example/" + strconv.Itoa(n)}
			must(g.Confirm(t.Context(), c))
		}
		answer := do(newHandler(t, httpapi.Options{Registry: g}), "GET", "/"+list+"/"+hash)
		shown := text(answer)
		var linked []string
		for n := 1; n <= 3; n++ {
			if strings.Contains(shown, `href="`+base+"/"+list+"/"+hash+"="+claim(n)+`"`) {
				linked = append(linked, strconv.Itoa(n))
			}
		}
		if got := strings.Join(linked, " "); got != want || (archived == 1) != (answer.StatusCode == 301) {
			t.Errorf("%d are archived: %d, links to %q, want %q", archived, answer.StatusCode, got, want)
		}
	}
}

func TestAnArchiveThatMovesIsFollowed(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: reserved(t, list, 1)})
	moved := policy(t)
	moved.Archives[0].URL = template(t, "https://new.example/{token}")
	h.SetPolicy(moved)
	if got := do(h, "GET", "/"+list+"/"+hash).Header.Get("Location"); got != "https://new.example/"+hash {
		t.Errorf("it leads to %s", got)
	}
}

// A reloading registry is asked while the configuration is reloaded.
type reloading struct {
	registry.Registry
	reload func()
}

func (r reloading) LookupHash(ctx context.Context, list, hash string) ([]registry.Reservation, error) {
	r.reload()
	return r.Registry.LookupHash(ctx, list, hash)
}

func TestARequestKeepsThePolicyThatItBeganWith(t *testing.T) {
	next := policy(t)
	next.Archives = nil
	token, tokens := everything(t)
	var h *httpapi.Handler
	g := reloading{reserved(t, list, 1), func() { h.SetPolicy(next); h.SetTokens(nil) }}
	h = newHandler(t, httpapi.Options{Registry: g, Tokens: tokens})
	if got := do(h, "GET", "/"+list+"/"+hash, "Authorization: "+basic(token)).Header.Get("Location"); got != "https://one.example/"+list+"/"+hash {
		t.Errorf("the resolver leads to %q", got)
	}
	if got := do(h, "GET", "/"+list+"/"+hash); got.StatusCode != 404 {
		t.Errorf("the next request: %d", got.StatusCode)
	}
}

func TestPermalinksOfTheResolverLeadToTheTarget(t *testing.T) {
	p := policy(t)
	p.Archives[0].URL = template(t, "https://permalink.example.org/{list}/{token}")
	o := httpapi.Options{Registry: reserved(t, list, 1), Policy: p, BaseURL: "https://permalink.example.org"}
	if got := do(newHandler(t, o), "GET", "/"+list+"/"+hash); got.StatusCode != 404 {
		t.Errorf("sent to itself: %d %s", got.StatusCode, got.Header.Get("Location"))
	}
	p.Archives[0].Target = template(t, "https://archive.example/{listname}/{token}")
	if got := do(newHandler(t, o), "GET", "/"+list+"/"+hash).Header.Get("Location"); got != "https://archive.example/devel/"+hash {
		t.Errorf("it leads to %q", got)
	}
	p.Archives[0].Target = template(t, "https://archive.example/{hash}={claim}")
	if got := do(newHandler(t, o), "GET", "/"+list+"/"+hash).Header.Get("Location"); got != "https://archive.example/"+hash+"="+claim(1) {
		t.Errorf("with a claim it leads to %q", got)
	}
}

func TestTheFirstMessageOfAHashGoneIsNotItsSequel(t *testing.T) {
	g := reserved(t, list, 2)
	if err := g.Release(t.Context(), list, hash, identity(1)); err != nil {
		t.Fatal(err)
	}
	answer := do(newHandler(t, httpapi.Options{Registry: g}), "GET", "/"+list+"/"+hash)
	if page := text(answer); answer.StatusCode != 300 || !strings.Contains(page, hash+"-2") {
		t.Errorf("%d %s", answer.StatusCode, page)
	}
}

func TestResolverWhileTheRegistryIsDown(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: down{err: errDown}})
	answer := do(h, "GET", "/"+list+"/"+hash)
	if page := text(answer); answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" || strings.Contains(page, "10.0.0.1") {
		t.Errorf("%d %v %s", answer.StatusCode, answer.Header, page)
	}
}

// A stuck is a registry that answers when its caller gives up.
type stuck struct{ registry.Registry }

func (stuck) LookupHash(ctx context.Context, _, _ string) ([]registry.Reservation, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestTimeoutBoundsTheRegistry(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: stuck{}, Timeout: time.Millisecond})
	if answer := do(h, "GET", "/"+list+"/"+hash); answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%d", answer.StatusCode)
	}
}

func TestBaseURLWithAPathIsBeforeEveryLink(t *testing.T) {
	h := newHandler(t, httpapi.Options{BaseURL: "https://lists.example.org/permalink/", Registry: registry.New(memreg.New(), registry.Options{})})
	page := text(do(h, "GET", "/"))
	for _, want := range []string{`href="/permalink/static/style.css"`, `action="/permalink/check"`, `action="/permalink/search"`, `href="/permalink/status"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

// Whatever is asked for, a redirect leads to a configured archive or stays
// here.
func FuzzResolver(f *testing.F) {
	f.Add("/"+list+"/"+hash, "text/html")
	f.Add("//evil.example/"+hash, "application/json")
	f.Add("/x@one.example.org%0d%0a/"+hash+"-2", "*/*")
	f.Add("/a/..//\\evil.example@one.example.org/x", "")
	g := registry.New(memreg.New(), registry.Options{Now: now})
	must(g.Reserve(context.Background(), registry.Request{List: list, Hash: hash, Identity: identity(1)}))
	h := must(httpapi.New(httpapi.Options{Registry: g, BaseURL: base, Policy: &stamp.Policy{
		Archives: []stamp.Archive{{Name: "one", Lists: []string{"*"}, URL: must(hashheader.ParseTemplate("https://one.example/{list}/{token}"))}}}}))
	f.Fuzz(func(t *testing.T, target, accept string) {
		if _, err := url.ParseRequestURI(target); err != nil || !strings.HasPrefix(target, "/") {
			return // net/http refuses it
		}
		answer := do(h, "GET", target, "Accept: "+accept)
		location := answer.Header.Get("Location")
		here := strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") && !strings.HasPrefix(location, `/\`)
		if location != "" && !here && !strings.HasPrefix(location, "https://one.example/") || strings.ContainsAny(location, "\r\n") {
			t.Errorf("%q leads to %q", target, location)
		}
		if answer.StatusCode >= 500 {
			t.Errorf("%q: %d", target, answer.StatusCode)
		}
	})
}

// BenchmarkRedirect is the redirect to an archived message behind a proxy,
// without the server.
func BenchmarkRedirect(b *testing.B) {
	g := reserved(b, list, 1)
	must(g.Confirm(b.Context(), registry.Confirmation{List: list, Token: hash, URL: "https://one.example/1"}))
	h := newHandler(b, httpapi.Options{Registry: g})
	r := httptest.NewRequest(http.MethodGet, "/"+list+"/"+hash, nil)
	r.RemoteAddr = "127.0.0.1:1"
	r.Header.Set("X-Forwarded-For", "192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, r); w.Code != http.StatusMovedPermanently {
			b.Fatal(w.Code)
		}
	}
}
