package httpapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

const (
	list = "devel@lists.example.org"
	base = "https://permalink.example.org"
	// The MD5 that both ids of a known collision share.
	hash    = "7KWUTBTOSSMPYFYZ6UUJ46QCNE"
	firstID = "TEXTCOLLBYfGiJUETHQ4hAcKSMd5zYpgqf1YRDhkmxHkhPWptrkoyz28wnI9V0aHeAuaKnak"
)

// identity n, different for each n.
func identity(n int) hashheader.Identity {
	return hashheader.Identify(nil, fmt.Appendf(nil, "%d@example.org", n), []string{"message-id"})
}

func now() time.Time { return time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC) }

// everything returns a token that allows all, and the tokens file with it.
func everything(t *testing.T) (string, *httpapi.Tokens) {
	t.Helper()
	return newTokens(t, `scopes = ["read", "reserve", "confirm", "release"]`+"\n"+`lists = ["*"]`)
}

// newTokens returns a token, and a tokens file with these lines about it.
func newTokens(t *testing.T, lines string) (string, *httpapi.Tokens) {
	t.Helper()
	token, sum := httpapi.NewToken()
	tokens, err := loadTokens(t, "[[token]]\nname = \"test\"\nsha256 = \""+sum+"\"\n"+lines+"\n")
	if err != nil {
		t.Fatal(err)
	}
	return token, tokens
}

func loadTokens(t testing.TB, text string) (*httpapi.Tokens, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "tokens.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return httpapi.LoadTokens(file)
}

func template(t testing.TB, text string) hashheader.Template {
	t.Helper()
	parsed, err := hashheader.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// policy is one archive of devel, two of users, and one that only a
// Message-ID leads to.
func policy(t testing.TB) *stamp.Policy {
	return &stamp.Policy{HashUnmatched: true, Emit: []string{"Message-ID-MD5"}, Identity: []string{"message-id", "date"}, Archives: []stamp.Archive{
		{Name: "one", Lists: []string{list, "*@one.example.org"}, URL: template(t, "https://one.example/{list}/{token}")},
		{Name: "first", Lists: []string{"users@*"}, URL: template(t, "https://first.example/{hash}")},
		{Name: "second", Lists: []string{"users@*"}, URL: template(t, "https://second.example/{listname}/{token}"), Share: true},
		{Name: "by id", Lists: []string{"ids@*"}, URL: template(t, "https://ids.example/{message_id}")},
		{Name: "ours", Lists: []string{"loop@*"}, URL: template(t, base+"/{list}/{token}")},
	}}
}

// newHandler returns a handler of a memory registry, with what o leaves out.
func newHandler(t testing.TB, o httpapi.Options) *httpapi.Handler {
	t.Helper()
	if o.Registry == nil {
		o.Registry = registry.New(memreg.New(), registry.Options{Now: now})
	}
	if o.Policy == nil {
		o.Policy = policy(t)
	}
	if o.BaseURL == "" {
		o.BaseURL = base
	}
	if o.Now == nil {
		o.Now = now
	}
	h, err := httpapi.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// must stops a test whose preparation fails.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// reserved returns a registry in which n messages hold the hash on a list.
func reserved(t testing.TB, list string, n int) registry.Registry {
	t.Helper()
	g := registry.New(memreg.New(), registry.Options{Now: now})
	for i := range n {
		must(g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(i + 1)}))
	}
	return g
}

// do makes a request. Fields are "Name: value"; the one named Body is the body.
func do(h http.Handler, method, target string, fields ...string) *http.Response {
	var body io.Reader
	r := httptest.NewRequest(method, "http://permalink.example.org/", nil)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		if name == "Body" {
			body = strings.NewReader(value)
			r.ContentLength = int64(len(value))
			r.Body = io.NopCloser(body)
			continue
		}
		r.Header.Add(name, value)
	}
	r.URL, r.RequestURI = must(url.ParseRequestURI(target)), target // as net/http does
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func text(r *http.Response) string { return string(must(io.ReadAll(r.Body))) }
