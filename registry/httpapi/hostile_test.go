package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"permalink-milter/registry/httpapi"
)

func TestWrongMethodsGetTheRightOnes(t *testing.T) {
	h := newHandler(t, httpapi.Options{})
	for _, c := range []struct{ method, target, allow string }{
		{"PUT", "/api/v1/reservations", "GET, HEAD, POST"},
		{"POST", one, "DELETE, GET, HEAD"},
		{"GET", one + "/archived", "PUT"},
		{"GET", "/api/v1/messages", "POST"},
		{"POST", "/", "GET, HEAD"},
		{"GET", "/check", "POST"},
		{"DELETE", "/" + list + "/" + hash, "GET, HEAD"},
		{"TRACE", "/status", "GET, HEAD"},
	} {
		answer := do(h, c.method, c.target)
		if answer.StatusCode != 405 || answer.Header.Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.target, answer.StatusCode, answer.Header.Get("Allow"))
		}
		if isJSON := answer.Header.Get("Content-Type") == "application/problem+json"; isJSON != strings.HasPrefix(c.target, "/api/") {
			t.Errorf("%s %s: %s", c.method, c.target, answer.Header.Get("Content-Type"))
		}
	}
}

func TestUnknownPathsOfTheAPIAreProblems(t *testing.T) {
	h := newHandler(t, httpapi.Options{})
	for _, target := range []string{"/api/v1/nothing/at/all", "/api/v2/reservations", "/api/v1/", "/static/../page.go", "/static/page.go", "/a/b/c/d"} {
		answer := do(h, "GET", target, asJSON)
		if text := text(answer); answer.StatusCode != 404 && answer.StatusCode != 307 || strings.Contains(text, "package") {
			t.Errorf("%s: %d %s", target, answer.StatusCode, text)
		}
	}
}

func TestEveryAnswerIsGuarded(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: prepared(t)})
	for _, target := range []string{"/", "/static/page.js", "/" + list + "/" + hash, "/nothing", "/api/v1/stats", "/api/v1/openapi.json", "/a//b"} {
		header := do(h, "GET", target).Header
		policy := header.Get("Content-Security-Policy")
		for _, want := range []string{"default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: the policy %q has no %s", target, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", target, header)
		}
	}
}

// form is a multipart body of fields "name=value".
func form(fields ...string) []string {
	var b strings.Builder
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		fmt.Fprintf(&b, "--x\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", name, value)
	}
	return []string{"Content-Type: multipart/form-data; boundary=x", "Body: " + b.String() + "--x--\r\n"}
}

func TestFormOfThePage(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: prepared(t)})
	for name, c := range map[string]struct {
		fields []string
		status int
		want   string
	}{
		"a pasted message":                   {form("message=" + pasted), 200, hash + "-3"},
		"a file":                             {form("message=", "file="+pasted), 200, hash + "-3"},
		"a file without its list":            {form("file=Message-ID: <a@b>\n"), 200, "no archive here holds a list"},
		"a file and the list":                {form("list="+list, "file=Message-ID: <a@b>\n"), 200, "not reserved"},
		"HTML in every field":                {form("message=Message-ID: <\"><script>alert(1)</script>@x>\nMessage-ID-MD5: <script>alert(1)</script>\nArchived-At: <script>alert(1)</script>\nList-Post: <mailto:devel@lists.example.org>\nDate: <script>alert(1)</script>\n"), 200, "&lt;script&gt;"},
		"HTML as the list":                   {form("list=<script>alert(1)</script>@x", "message="+pasted), 400, "Bad Request"},
		"a script as Archived-At":            {form("message=Message-ID: <a@b>\nArchived-At: <javascript:alert(1)>\n"), 200, "javascript:alert"},
		"nothing":                            {form("message=", "file="), 422, "cannot be named"},
		"a body of another type":             {[]string{"Content-Type: application/json", "Body: {}"}, 415, "multipart/form-data"},
		"a form without its boundary":        {[]string{"Content-Type: multipart/form-data", "Body: x"}, 400, "Bad Request"},
		"a form that breaks off":             {[]string{"Content-Type: multipart/form-data; boundary=x", "Body: --x\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\nA: b"}, 400, "Bad Request"},
		"a message of 60 KB":                 {form("message=" + pasted + strings.Repeat("text\n", 12_000)), 200, hash + "-3"},
		"a message of more than is taken":    {form("message=" + pasted + strings.Repeat("text\n", 14_000)), 413, "header section is enough"},
		"a header section without an end":    {form("message=X: " + strings.Repeat("a", 2<<20)), 413, "more than 65536 bytes"},
		"a thousand parts that are not ours": {form(strings.Fields(strings.Repeat("x=y ", 1000))...), 422, "cannot be named"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := do(h, "POST", "/check", c.fields...)
			page := text(answer)
			if answer.StatusCode != c.status || !strings.Contains(page, c.want) {
				t.Errorf("%d %s, want %d %s", answer.StatusCode, page, c.status, c.want)
			}
			if strings.Contains(page, "<script>alert") || strings.Contains(page, `href="javascript`) {
				t.Errorf("it got through: %s", page)
			}
		})
	}
}

func TestSearch(t *testing.T) {
	h := newHandler(t, httpapi.Options{Registry: prepared(t)})
	for name, c := range map[string]struct {
		query  string
		status int
		want   string
	}{
		"a token":                    {"q=" + hash + "-3&list=" + list, 200, "https://one.example/3"},
		"a token on the known lists": {"q=" + strings.ToLower(hash) + "-3", 200, "https://one.example/3"},
		"a Message-ID":               {"q=%3C" + firstID + "%3E", 200, "3 messages share this hash"},
		"a field":                    {"q=Message-Id:%20%3C" + firstID + "%3E", 200, "3 messages share this hash"},
		"a permalink":                {"q=https://x.example/y/" + list + "/" + hash + "-3", 200, "https://one.example/3"},
		"an unknown Message-ID":      {"q=a@b", 200, "Not reserved"},
		"an unknown token":           {"q=" + hash + "-9", 404, "Not reserved"},
		"nothing":                    {"q=", 400, "write a Message-ID"},
		"empty brackets":             {"q=%3C%3E", 400, "nothing is left"},
		"HTML":                       {"q=%3Cscript%3Ealert(1)%3C/script%3E", 200, "script&gt;alert"},
		"an invalid list":            {"q=a@b&list=%3Cscript%3E", 400, "invalid list"},
		"a very long text":           {"q=" + strings.Repeat("a", 5000), 400, "write a Message-ID"},
	} {
		t.Run(name, func(t *testing.T) {
			answer := do(h, "GET", "/search?"+c.query)
			page := text(answer)
			if answer.StatusCode != c.status || !strings.Contains(strings.ToLower(page), strings.ToLower(c.want)) || strings.Contains(page, "<script>alert") {
				t.Errorf("%d %s, want %d %s", answer.StatusCode, page, c.status, c.want)
			}
		})
	}
}

// listen serves a handler as the daemon does, with shorter times.
func listen(t *testing.T, h *httpapi.Handler) string {
	t.Helper()
	server := httpapi.NewServer(h, slog.New(slog.DiscardHandler))
	if server.ReadHeaderTimeout == 0 || server.ReadTimeout == 0 || server.WriteTimeout == 0 || server.IdleTimeout == 0 {
		t.Fatal("a time limit is missing")
	}
	server.ReadHeaderTimeout, server.ReadTimeout, server.IdleTimeout = 100*time.Millisecond, 200*time.Millisecond, 100*time.Millisecond
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

func TestSlowAndOddClientsAreCutOff(t *testing.T) {
	t.Parallel()
	addr := listen(t, newHandler(t, httpapi.Options{}))
	for name, c := range map[string]struct{ sent, want string }{
		"one that says nothing":          {"", ""},
		"one that stops in the header":   {"GET / HTTP/1.1\r\nHost: x\r\nX-A: ", ""},
		"one that stops in the body":     {"POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: message/rfc822\r\nContent-Length: 100\r\n\r\nA: b\r\n", "HTTP/1.1 400"},
		"one that announces a huge body": {"POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: message/rfc822\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 413"},
		"one with a huge header":         {"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "HTTP/1.1 431"},
		"one that speaks SMTP":           {"EHLO x\r\n\r\n", "HTTP/1.1 400"},
		"one that smuggles":              {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n", "HTTP/1.1 501"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(20 * time.Second)) // far more than it takes
			_, _ = io.WriteString(conn, c.sent)
			got, err := io.ReadAll(bufio.NewReader(conn))
			if netErr, ok := err.(net.Error); ok && netErr.Timeout() {
				t.Fatal("the connection stays open")
			}
			if !strings.HasPrefix(string(got), c.want) {
				t.Errorf("answer %.200q, want %s", got, c.want)
			}
		})
	}
}

func TestBusyIsSaidAndPasses(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	token, tokens := everything(t)
	h := newHandler(t, httpapi.Options{MaxPublic: 1, MaxRequests: 1, Tokens: tokens})
	bearer := "Authorization: Bearer " + token
	// A body that does not come keeps its request in progress.
	body := &gate{entered: entered, leave: leave}
	done := make(chan int)
	go func() {
		r, _ := http.NewRequest("POST", "http://x/api/v1/messages", body)
		r.Header.Set("Content-Type", "message/rfc822")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		done <- w.Code
	}()
	<-entered
	send := []string{"Content-Type: message/rfc822", "Body: " + mail}
	answer := do(h, "POST", "/api/v1/messages", send...)
	if answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" || answer.Header.Get("Connection") != "close" {
		t.Errorf("another message while busy: %d %v", answer.StatusCode, answer.Header)
	}
	for name, answer := range map[string]*http.Response{
		"a reader":                 do(h, "GET", "/"),
		"a message with a token":   do(h, "POST", "/api/v1/messages", append(send, bearer)...),
		"a question with a token":  do(h, "GET", "/api/v1/stats", bearer),
		"the status page, with it": do(h, "GET", "/status", "Authorization: "+basic(token)),
	} {
		if answer.StatusCode != 200 {
			t.Errorf("%s while strangers are busy: %d", name, answer.StatusCode)
		}
	}
	close(leave)
	if status := <-done; status != 422 {
		t.Errorf("the one in progress: %d", status)
	}
	if answer := do(h, "POST", "/api/v1/messages", send...); answer.StatusCode != 200 {
		t.Errorf("afterwards: %d", answer.StatusCode)
	}
}

// A gate is an empty body that waits.
type gate struct{ entered, leave chan struct{} }

func (g *gate) Read([]byte) (int, error) {
	close(g.entered)
	<-g.leave
	return 0, io.EOF
}
