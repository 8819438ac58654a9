package doors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

// newHandler returns a handler, and a token with which it takes long bodies.
func newHandler(t testing.TB, policy *stamp.Policy) (h http.Handler, token string) {
	t.Helper()
	token, sum := httpapi.NewToken()
	file := filepath.Join(t.TempDir(), "tokens.toml")
	text := fmt.Sprintf("[[token]]\nname = \"test\"\nsha256 = %q\nscopes = [\"read\"]\nlists = [\"*\"]\n", sum)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := httpapi.LoadTokens(file)
	if err != nil {
		t.Fatal(err)
	}
	h, err = httpapi.New(httpapi.Options{Registry: registry.New(memreg.New(), registry.Options{}), Policy: policy, Tokens: tokens})
	if err != nil {
		t.Fatal(err)
	}
	return h, token
}

// post sends a body and returns the status and the body of the answer.
func post(h http.Handler, path, token, contentType string, body []byte) (status int, text []byte) {
	r := httptest.NewRequest("POST", path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// apiDoor answers by POST /api/v1/messages.
func apiDoor(t testing.TB, policy *stamp.Policy) func(testing.TB, []byte) answer {
	h, token := newHandler(t, policy)
	return func(t testing.TB, data []byte) answer {
		status, text := post(h, "/api/v1/messages", token, "message/rfc822", data)
		var got struct {
			Detail     string `json:"detail"` // of a problem
			MessageID  string `json:"message_id"`
			Derived    bool
			Hashes     map[string]string
			Identity   string
			Permalinks []struct{ URL string }
			Header     []struct{ Name, Value string }
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if status != http.StatusOK {
			return because(got.Detail)
		}
		a := answer{md5: got.Hashes["md5"], sha1: got.Hashes["sha1"], identity: got.Identity}
		a.setName(got.Derived)
		a.setID(got.MessageID)
		var urls []string
		for _, p := range got.Permalinks {
			urls = append(urls, p.URL)
		}
		a.setLinks(urls)
		var written []string
		for _, f := range got.Header {
			switch f.Name {
			case "Archived-At":
				written = append(written, strings.Trim(f.Value, "<>"))
			case "Message-ID-MD5":
				a[md5] = f.Value
			}
		}
		if sorted(written, " ") != a[links] {
			t.Errorf("%q: the API would write %q and names the permalinks %q", data, written, urls)
		}
		return a
	}
}

var (
	pageID      = regexp.MustCompile(`(?s)<h2 id="id">Message-ID</h2>\s*<p><code>(.*?)</code></p>`)
	pageHash    = regexp.MustCompile(`(?s)<dt>(MD5|SHA-1)</dt>\s*<dd><code>([A-Z2-7]+)</code>`)
	pageLink    = regexp.MustCompile(`<dt>In [^<]*</dt><dd><code>(.*?)</code></dd>`)
	pageProblem = regexp.MustCompile(`(?s)<p[^>]*>(.*?)</p>`)
)

// pageDoor answers by POST /check, as a browser sends a file.
func pageDoor(t testing.TB, policy *stamp.Policy) func(testing.TB, []byte) answer {
	h, _ := newHandler(t, policy)
	return func(t testing.TB, data []byte) answer {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		part, err := w.CreateFormFile("file", "message.eml")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(data)
		w.Close()
		status, page := post(h, "/check", "", w.FormDataContentType(), form.Bytes())
		if status != http.StatusOK {
			text := ""
			for _, p := range pageProblem.FindAllSubmatch(page, -1) {
				text += html.UnescapeString(string(p[1])) + "\n"
			}
			return because(text)
		}
		shown := pageID.FindSubmatch(page)
		if shown == nil {
			return answer{name: "not one message"}
		}
		a := answer{}
		a.setName(bytes.Contains(page, []byte("This one is derived")))
		a.setID(html.UnescapeString(string(shown[1])))
		for _, row := range pageHash.FindAllSubmatch(page, -1) {
			a[map[string]aspect{"MD5": md5, "SHA-1": sha1}[string(row[1])]] = string(row[2])
		}
		var urls []string
		for _, link := range pageLink.FindAllSubmatch(page, -1) {
			urls = append(urls, html.UnescapeString(string(link[1])))
		}
		a.setLinks(urls)
		return a
	}
}
