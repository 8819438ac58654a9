package conform

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"permalink-milter/hashheader"
)

func resolverTests(t *testing.T, handle http.HandlerFunc) []Test {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	base, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	tests, err := Resolver(ResolverTarget{Base: base, List: "devel@lists.example.org", Message: probe, Templates: []hashheader.Template{forgedTemplate(t)}})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}

func TestEachFaultOfAResolverIsSeen(t *testing.T) {
	for id, handle := range map[string]http.HandlerFunc{
		"RES-1": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://"+elsewhere+"/", http.StatusFound)
		},
		"RES-2": http.NotFound,
		"TOK-4": http.NotFound,
	} {
		_, all := outcomes(t, only(resolverTests(t, handle), id))
		if !broken(all, id) {
			t.Errorf("%s: %+v", id, all)
		}
	}
}

func TestAResolverNeedsAMessageWithAnID(t *testing.T) {
	if _, err := Resolver(ResolverTarget{Base: &url.URL{}, Message: []byte("From: a@example.org\n")}); err == nil {
		t.Error("no error")
	}
}
