package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
)

// serve serves a handler with the limits that the daemon has.
func serve(t *testing.T, h *httpapi.Handler) (addr string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpapi.NewServer(h, slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(ln) }()
	t.Cleanup(func() { server.Close() })
	return ln.Addr().String()
}

// dial opens a connection that a test reads with its own deadline.
func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

// exchange sends a request on a connection and returns the answer.
func exchange(conn net.Conn, request string) (*http.Response, error) {
	if _, err := io.WriteString(conn, request); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

const getHome = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// peakHeap runs f and returns the most bytes that the heap held meanwhile,
// above those it held before.
func peakHeap(f func()) uint64 {
	var before, m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	var peak uint64
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		select {
		case <-done:
			tick.Stop()
			return peak
		case <-tick.C:
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse-min(before.HeapInuse, m.HeapInuse))
		}
	}
}

// A stranger's message is small, so that many at once need little memory,
// whether they come from one client or from as many.
func TestStrangersMessagesNeedLittleMemory(t *testing.T) {
	for name, header := range map[string]string{
		"one long Message-ID": "Message-ID: <" + strings.Repeat("a", 1<<20-200) + "@b>\n",
		"thousands of ids":    strings.Repeat("Message-ID: <"+strings.Repeat("a", 500)+"@b>\n", 1900),
		"many addresses":      "Message-ID: <a@b>\nTo: x@example.org" + strings.Repeat(",\n a@one.example.org", 45_000) + "\n",
		"60 KB of addresses":  "Message-ID: <a@b>\nTo: x@example.org" + strings.Repeat(",\n a@one.example.org", 2_800) + "\n",
		"60 KB of fields":     "Message-ID: <a@b>\n" + strings.Repeat("Archived-At: <http:x>\n", 1_900),
	} {
		for _, clients := range []int{1, 100} {
			addr := serve(t, newHandler(t, httpapi.Options{Registry: prepared(t)}))
			began := time.Now()
			peak := peakHeap(func() { flood(addr, header, clients) })
			t.Logf("%s, %d clients: %d MB, %v", name, clients, peak>>20, time.Since(began))
			if peak > 60<<20 {
				t.Errorf("100 messages with %s from %d clients need %d MB", name, clients, peak>>20)
			}
		}
	}
}

// flood sends a message 100 times at once, from so many clients.
func flood(addr, header string, clients int) {
	var all sync.WaitGroup
	for n := range 100 {
		all.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			fmt.Fprintf(conn, "POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.%d\r\nContent-Type: message/rfc822\r\nContent-Length: %d\r\n\r\n",
				n%clients, len(header))
			for rest := header; rest != ""; rest = rest[min(len(rest), 1<<14):] {
				if _, err := io.WriteString(conn, rest[:min(len(rest), 1<<14)]); err != nil {
					break // the answer came first
				}
			}
			if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil {
				_, _ = io.Copy(io.Discard, answer.Body)
			}
		})
	}
	all.Wait()
}

// One client cannot hold all connections, and holds none for long.
func TestConnectionsOfOneClient(t *testing.T) {
	t.Parallel()
	h := newHandler(t, httpapi.Options{TrustedProxies: []netip.Prefix{}})
	addr := serve(t, h)
	open := 0
	var kept []net.Conn
	for range 200 {
		conn := dial(t, addr)
		if answer, err := exchange(conn, getHome); err == nil && answer.StatusCode == 200 {
			open++
			kept = append(kept, conn)
		}
	}
	if open == 0 || open > 64 {
		t.Errorf("one client keeps %d connections", open)
	}
	began := time.Now()
	for _, conn := range kept {
		_, _ = io.Copy(io.Discard, conn)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("idle connections stay open for %v", took)
	}
	if _, err := exchange(dial(t, addr), getHome); err != nil {
		t.Errorf("when the others are closed: %v", err)
	}
}

func TestRefusedRequestsCloseTheirConnection(t *testing.T) {
	addr := serve(t, newHandler(t, httpapi.Options{Rate: 0.001}))
	conn := dial(t, addr)
	_, _ = io.WriteString(conn, getHome+getHome+getHome)
	in := bufio.NewReader(conn)
	for _, want := range []int{200, 429} {
		answer, err := http.ReadResponse(in, nil)
		if err != nil || answer.StatusCode != want {
			t.Fatalf("%v %v, want %d", answer, err, want)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Fatal(err)
		}
		if answer.Close != (want == 429) {
			t.Errorf("%d closes: %v", want, answer.Close)
		}
	}
}

// Bodies that never end hold up neither archivers with tokens, nor readers.
func TestUnfinishedBodiesHoldNobodyUp(t *testing.T) {
	t.Parallel()
	token, tokens := everything(t)
	addr := serve(t, newHandler(t, httpapi.Options{Registry: prepared(t), Tokens: tokens}))
	begin := "POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: message/rfc822\r\nContent-Length: 5000\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\nA: b\r\n"
	began := time.Now()
	var unfinished []net.Conn
	for n := range 1100 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			break
		}
		defer conn.Close()
		_ = conn.SetDeadline(began.Add(20 * time.Second))
		fmt.Fprintf(conn, begin, n%6)
		unfinished = append(unfinished, conn)
	}
	time.Sleep(200 * time.Millisecond)
	for name, request := range map[string]string{
		"a token":          "GET /api/v1/stats HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token + "\r\n\r\n",
		"another stranger": "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.99\r\n\r\n",
		"another message": "POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nContent-Type: message/rfc822\r\nX-Forwarded-For: 192.0.2.99\r\nContent-Length: " +
			fmt.Sprint(len(mail)) + "\r\n\r\n" + mail,
	} {
		if answer, err := exchange(dial(t, addr), request); err != nil || answer.StatusCode != 200 {
			t.Errorf("%s: %v, %v", name, answer, err)
		}
	}
	for _, conn := range unfinished {
		if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("a body may take longer than %v", time.Since(began))
		}
	}
	t.Logf("all were cut off after %v", time.Since(began))
}

// The resolver does not redirect to itself, however its URL is spelled.
func TestTheResolverIsNoTargetInAnySpelling(t *testing.T) {
	token, tokens := everything(t)
	at := "/" + list + "/" + hash
	for name, target := range map[string]string{
		"plain":                    "https://permalink.example.org" + at,
		"http":                     "http://permalink.example.org" + at,
		"the default port":         "https://permalink.example.org:443" + at,
		"the default port of http": "http://permalink.example.org:80" + at,
		"upper case":               "HTTPS://Permalink.Example.ORG" + at,
		"a final dot":              "https://permalink.example.org." + at,
		"an escaped letter":        "https://%70ermalink.example.org" + at,
		"user information":         "https://a@permalink.example.org" + at,
		"dot segments":             "https://permalink.example.org/x/.." + at,
		"empty segments":           "https://permalink.example.org//" + at,
		"its base":                 "https://permalink.example.org",
		"a query":                  "https://permalink.example.org?x",
	} {
		g := reserved(t, list, 1)
		h := newHandler(t, httpapi.Options{Registry: g, Tokens: tokens})
		answer := do(h, "PUT", one+"/archived", "Authorization: Bearer "+token, "Content-Type: application/json", `Body: {"url": "`+target+`"}`)
		if answer.StatusCode != 400 {
			t.Errorf("%s: confirmed as %s: %d", name, target, answer.StatusCode)
		}
		// Other programs may have confirmed it.
		if _, err := g.Confirm(t.Context(), registry.Confirmation{List: list, Token: hash, URL: target}); err != nil {
			continue
		}
		if got := do(h, "GET", at).Header.Get("Location"); !strings.HasPrefix(got, "https://one.example/") {
			t.Errorf("%s: the resolver leads to %s", name, got)
		}
	}
}

// What a message holds cannot turn or hide what the page says.
func TestThePageSpellsOutWhatHasNoLook(t *testing.T) {
	g := prepared(t)
	const odd = "\u202egpj\u2066\u200f\x1b[31m\u009b\x7f"
	must(g.Confirm(t.Context(), registry.Confirmation{List: list, Token: hash + "-2", Subject: odd, URL: "https://one.example/" + url.PathEscape(odd)}))
	h := newHandler(t, httpapi.Options{Registry: g})
	message := "Message-ID: <a" + odd + "@b>\nSubject: =?utf-8?q?=E2=80=AEgpj?=" + odd + "\nFrom: " + odd + " <a@b.example>\nDate: " + odd +
		"\nMessage-ID-MD5: " + odd + "\nArchived-At: <https://x.example/" + odd + ">\nList-Post: <mailto:" + list + ">\n"
	for name, page := range map[string]string{
		"check":   text(do(h, "POST", "/check", form("message="+message)...)),
		"choices": text(do(h, "GET", "/"+list+"/"+hash)),
		"search":  text(do(h, "GET", "/search?q="+url.QueryEscape("a"+odd+"@b"))),
		"problem": text(do(h, "GET", "/"+url.PathEscape(odd)+"@x.example/"+hash)),
	} {
		if strings.ContainsAny(page, "\u202e\u2066\u200f\x1b\u009b\x7f") {
			t.Errorf("%s holds one: %q", name, page)
		}
		if name != "problem" && !strings.Contains(page, `\u202egpj`) {
			t.Errorf("%s does not spell it out: %s", name, page)
		}
	}
}

// A hostile archiver's large messages are few at once, and hold no other
// request up.
func TestLargeMessagesWithATokenAreFew(t *testing.T) {
	var logged strings.Builder
	token, tokens := everything(t)
	h := newHandler(t, httpapi.Options{Registry: prepared(t), Tokens: tokens, Log: slog.New(slog.NewTextHandler(&logged, nil))})
	bearer := "Authorization: Bearer " + token
	leave := make(chan struct{})
	var all sync.WaitGroup
	for range 16 {
		g := &gate{entered: make(chan struct{}), leave: leave}
		all.Go(func() {
			r, _ := http.NewRequest("POST", "http://x/api/v1/messages", g)
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "message/rfc822")
			h.ServeHTTP(httptest.NewRecorder(), r)
		})
		<-g.entered
	}
	if answer := do(h, "POST", "/api/v1/messages", bearer, "Content-Type: message/rfc822", "Body: "+mail); answer.StatusCode != 503 {
		t.Errorf("one more: %d", answer.StatusCode)
	}
	if answer := do(h, "GET", one, bearer); answer.StatusCode != 200 {
		t.Errorf("another request: %d", answer.StatusCode)
	}
	close(leave)
	all.Wait()
	if logged.Len() > 0 {
		t.Errorf("a refusal is logged: %s", logged.String())
	}
}

// A client that reads slowly keeps its answer in memory.
type slowReader struct {
	*httptest.ResponseRecorder
	gate
	once sync.Once
}

func (s *slowReader) Write(p []byte) (int, error) {
	s.once.Do(func() { close(s.entered) })
	<-s.leave
	return len(p), nil
}

// A hash that many messages hold must not fill the memory.
func TestLongAnswersAreFew(t *testing.T) {
	token, tokens := everything(t)
	g := reserved(t, list, 21)
	must(g.Reserve(t.Context(), registry.Request{List: "users@lists.example.org", Hash: hash, Identity: identity(1)}))
	h := newHandler(t, httpapi.Options{Registry: g, Tokens: tokens})
	bearer := "Authorization: Bearer " + token
	for _, c := range []struct {
		target, other string
		fields        []string
		most          int
	}{
		{"/search?q=" + hash, "/search?q=" + hash + "&list=" + list, nil, 4}, // 20 and one
		{"/api/v1/hashes/" + list + "/" + hash, "/api/v1/hashes/users@lists.example.org/" + hash, []string{bearer}, 16},
		{"/api/v1/reservations", one, []string{bearer}, 16},
	} {
		leave := make(chan struct{})
		var all sync.WaitGroup
		for range c.most {
			slow := &slowReader{ResponseRecorder: httptest.NewRecorder(), gate: gate{make(chan struct{}), leave}}
			all.Go(func() {
				r := httptest.NewRequest("GET", c.target, nil)
				if c.fields != nil {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				h.ServeHTTP(slow, r)
			})
			<-slow.entered
		}
		if answer := do(h, "GET", c.target, c.fields...); answer.StatusCode != 503 {
			t.Errorf("%s: one more: %d", c.target, answer.StatusCode)
		}
		if answer := do(h, "GET", c.other, c.fields...); answer.StatusCode >= 500 {
			t.Errorf("%s: %d", c.other, answer.StatusCode)
		}
		close(leave)
		all.Wait()
	}
}

// A slowLookup is a registry whose lookups of a hash wait.
type slowLookup struct {
	registry.Registry
	entered chan struct{}
	leave   chan struct{}
}

func (s slowLookup) LookupHash(ctx context.Context, list, hash string) ([]registry.Reservation, error) {
	s.entered <- struct{}{}
	<-s.leave
	return s.Registry.LookupHash(ctx, list, hash)
}

// All that is held of a hash is in memory while it is looked through.
func TestFewRequestsReadAHashAtOnce(t *testing.T) {
	s := slowLookup{reserved(t, list, 30), make(chan struct{}, 100), make(chan struct{})}
	h := newHandler(t, httpapi.Options{Registry: s, Timeout: 200 * time.Millisecond, MaxClient: 100, Rate: 1000})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { do(h, "GET", "/"+list+"/"+hash) })
		<-s.entered
	}
	if answer := do(h, "GET", "/"+list+"/"+hash); answer.StatusCode != 503 || len(s.entered) > 0 {
		t.Errorf("one more: %d", answer.StatusCode)
	}
	close(s.leave)
	all.Wait()
}

func TestTooLongABodyEndsTheConnection(t *testing.T) {
	addr := serve(t, newHandler(t, httpapi.Options{Registry: prepared(t)}))
	body := "--x\r\nContent-Disposition: form-data; name=\"message\"\r\n\r\n" + strings.Repeat("x", 70_000)
	answer, err := http.Post("http://"+addr+"/check", "multipart/form-data; boundary=x", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusRequestEntityTooLarge || !answer.Close {
		t.Errorf("status %d, connection closed: %v", answer.StatusCode, answer.Close)
	}
}
