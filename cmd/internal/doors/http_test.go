package doors

import (
	"bytes"
	"encoding/json"
	"html"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

func newHandler(t testing.TB, policy *stamp.Policy) http.Handler {
	t.Helper()
	h, err := httpapi.New(httpapi.Options{Registry: registry.New(memreg.New(), registry.Options{}), Policy: policy, Rate: -1})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// post sends a body and returns the status and the body of the answer.
func post(h http.Handler, path, contentType string, body []byte) (status int, text []byte) {
	r := httptest.NewRequest("POST", path, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.Bytes()
}

// apiDoor answers by POST /api/v1/messages.
func apiDoor(t testing.TB, policy *stamp.Policy) func(testing.TB, []byte) answer {
	h := newHandler(t, policy)
	return func(t testing.TB, data []byte) answer {
		status, text := post(h, "/api/v1/messages", "message/rfc822", data)
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
	h := newHandler(t, policy)
	return func(t testing.TB, data []byte) answer {
		var form bytes.Buffer
		w := multipart.NewWriter(&form)
		part, err := w.CreateFormFile("file", "message.eml")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(data)
		w.Close()
		status, page := post(h, "/check", w.FormDataContentType(), form.Bytes())
		if status != http.StatusOK {
			text := ""
			for _, p := range pageProblem.FindAllSubmatch(page, -1) {
				text += html.UnescapeString(string(p[1])) + "\n"
			}
			return because(text)
		}
		shown := pageID.FindSubmatch(page)
		if shown == nil {
			t.Fatalf("%.200q: no Message-ID on the page\n%s", data, page)
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
