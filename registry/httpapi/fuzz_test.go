package httpapi_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

// A token of the target below, and its digest. It is fixed, so that inputs mean
// the same in each run.
const (
	fuzzToken    = "permalink_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	fuzzTokenSum = "a5a92dd03eb4994e77353ed9d87942f82bd8b5d2347345ad1d75523b1816eb25"
)

// maxAnswer is far above any answer to the few reservations of the target, and
// far below what an attack would be after.
const maxAnswer = 1 << 20

// FuzzRequests sends any bytes as the requests of one connection, read as
// net/http reads them. Whatever they are, each has an answer that is bounded,
// guarded and no failure of the server, and leads nowhere but to an archive.
func FuzzRequests(f *testing.F) {
	for _, request := range requests(f) {
		f.Add([]byte(request))
	}
	tokens := must(loadTokens(f, "[[token]]\nname = \"fuzz\"\nsha256 = \""+fuzzTokenSum+"\"\nscopes = [\"read\", \"reserve\", \"confirm\", \"release\"]\nlists = [\"*\"]\n"))
	f.Fuzz(func(t *testing.T, input []byte) {
		h := fuzzHandler(t, tokens)
		in := bufio.NewReader(bytes.NewReader(input))
		for range 10 {
			r, err := http.ReadRequest(in)
			if err != nil {
				return // net/http answers by itself
			}
			r.RemoteAddr = "192.0.2.1:1"
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			checkAnswer(t, r, w.Result())
			io.Copy(io.Discard, r.Body)
		}
	})
}

// requests are one of each kind, and odd ones.
func requests(f *testing.F) (all []string) {
	const end, host, bearer = "\r\n\r\n", " HTTP/1.1\r\nHost: permalink.example.org\r\n", "Authorization: Bearer " + fuzzToken + "\r\n"
	at := "/api/v1/reservations/" + list + "/" + hash
	for _, line := range []string{"GET /", "GET /search?q=" + firstID + "&list=" + list, "GET /search?q=%1b%5b31m<script>", "GET /static/page.js", "HEAD /" + list + "/" + hash,
		"GET /" + list + "/" + hash + "-2", "GET /" + list + "/" + hash + "=00000000", "GET //evil.example/..//x", "GET /%2e%2e/%00", "OPTIONS *", "GET http://evil.example/", "CONNECT evil.example:443",
		"GET /static/..%2fpage.go", "GET /api/v1/openapi.json", "GET " + at, "GET /api/v1/hashes/" + list + "/" + hash, "GET /api/v1/stats", "GET /api/v1/reservations?list=" + list, "DELETE " + at} {
		all = append(all, line+host+end[2:], line+host+bearer+"Accept: application/json"+end)
	}
	post := func(line, kind, body string) {
		all = append(all, fmt.Sprintf("%s%s%sContent-Type: %s\r\nContent-Length: %d%s%s", line, host, bearer, kind, len(body), end, body))
	}
	post("POST /api/v1/reservations", "application/json", `{"list":"`+list+`","hash":"`+hash+`","identity":"41b451b77a343e9c0f3e88231fc1a37a"}`)
	post("PUT "+at+"/archived", "application/json", `{"url":"https://one.example/1","subject":"\u202e<b>"}`)
	post("PUT "+at+"/archived", "application/json", `{"url":"javascript:alert(1)"}`)
	post("POST /check", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"list\"\r\n\r\n"+list+"\r\n--b\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nFrom: <script>\r\nMessage-ID: <x@y>\r\n\r\n--b--\r\n")
	all = append(all, "POST /api/v1/messages"+host+"Content-Type: message/rfc822\r\nTransfer-Encoding: chunked"+end+"5\r\nMessa\r\n0\r\n\r\n")
	files, err := filepath.Glob("../../testdata/header/*.eml")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d messages, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(text) < 8<<10 { // larger ones say nothing else, and slow the fuzzer down
			post("POST /api/v1/messages", "message/rfc822", string(text))
		}
	}
	return all
}

// fuzzHandler has a message that is reserved and one that is archived.
func fuzzHandler(t *testing.T, tokens *httpapi.Tokens) *httpapi.Handler {
	g := registry.New(memreg.New(), registry.Options{Now: now})
	for n := range 2 {
		must(g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity(n)}))
	}
	must(g.Confirm(t.Context(), registry.Confirmation{List: list, Token: hash + "-2", URL: "https://one.example/<2>", Subject: "<script>alert(1)</script>"}))
	return must(httpapi.New(httpapi.Options{Registry: g, Tokens: tokens, BaseURL: base, Log: slog.New(slog.DiscardHandler), Now: now, Rate: -1,
		Policy: &stamp.Policy{HashUnmatched: true, Emit: []string{"Message-ID-MD5"}, Identity: []string{"message-id", "date"},
			Archives: []stamp.Archive{{Name: "one", Lists: []string{"*"}, URL: must(hashheader.ParseTemplate("https://one.example/{list}/{token}"))}}}}))
}

func checkAnswer(t *testing.T, r *http.Request, answer *http.Response) {
	t.Helper()
	what := fmt.Sprintf("%.80q %.200q", r.Method, r.RequestURI)
	body := text(answer)
	if answer.StatusCode >= 500 && answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("%s: %d %s", what, answer.StatusCode, body)
	}
	if len(body) > maxAnswer+int(r.ContentLength) {
		t.Errorf("%s: an answer of %d bytes", what, len(body))
	}
	kind := answer.Header.Get("Content-Type")
	if strings.HasPrefix(kind, "text/html") && strings.Contains(strings.ReplaceAll(body, `<script src="/static/page.js" defer></script>`, ""), "<script") {
		t.Errorf("%s: a script in\n%s", what, body)
	}
	if answer.Header.Get("X-Content-Type-Options") != "nosniff" || answer.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("%s: not guarded: %v", what, answer.Header)
	}
	location := answer.Header.Get("Location")
	here := strings.HasPrefix(location, "/") && !strings.HasPrefix(location, "//") && !strings.HasPrefix(location, `/\`) || strings.HasPrefix(location, base+"/")
	if location != "" && !here && !strings.HasPrefix(location, "https://one.example/") {
		t.Errorf("%s leads to %q", what, location)
	}
}
