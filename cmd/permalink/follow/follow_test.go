package follow

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"permalink-milter/hashheader"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var id = []byte("abc/d@example.org")

// site answers each path as an archive would.
func site(t *testing.T, handle http.HandlerFunc) *httptest.Server {
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server
}

func client(t *testing.T, o Options) *Client {
	o.Timeout = max(o.Timeout, 5*time.Second)
	c := New(o)
	t.Cleanup(c.Close)
	return c
}

func TestWhatThePageSays(t *testing.T) {
	hash := "/list/devel@lists.example.org/message/AAAA/"
	for name, c := range map[string]struct {
		path   string
		status int
		page   string
		api    string
		want   string
	}{
		"HyperKitty has it":                    {path: hash, api: `{"message_id": "abc/d@example.org"}`, want: "pass HyperKitty has it"},
		"HyperKitty has another":               {path: hash, api: `{"message_id": "x@y"}`, want: "fail HyperKitty has another message there: x@y"},
		"HyperKitty's API answers with a page": {path: hash, api: `<html>`, status: 200, page: "hello", want: "pass it answers; the page states no Message-ID"},
		"no HyperKitty behind its form":        {path: hash, status: 404, want: "fail it answers 404 Not Found"},
		"the page has the id":                  {path: "/1", status: 200, page: "Message-ID: &lt;abc/d@example.org&gt;", want: "pass it answers, with this Message-ID"},
		"the page links the id":                {path: "/1", status: 200, page: "<a href='/m/abc%2Fd@example.org'>", want: "pass it answers, with this Message-ID"},
		"the page has another id":              {path: "/1", status: 200, page: "<dt>Message-ID</dt><dd>&lt;x@y&gt;", want: "fail it is another message: x@y"},
		"the page has none":                    {path: "/1", status: 200, page: "hello, write to a@b", want: "pass it answers; the page states no Message-ID"},
		"gone":                                 {path: "/1", status: 410, want: "fail it answers 410 Gone"},
		"a private archive":                    {path: "/1", status: 403, want: "policy it answers 403 Forbidden"},
		"broken":                               {path: "/1", status: 503, want: "temperror it answers 503 Service Unavailable"},
		"too busy":                             {path: "/1", status: 429, want: "temperror it answers 429 Too Many Requests"},
	} {
		t.Run(name, func(t *testing.T) {
			server := site(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/api/list/devel@lists.example.org/email/AAAA/" && c.api != "" && r.URL.RawQuery == "format=json" {
					fmt.Fprint(w, c.api)
					return
				}
				w.WriteHeader(c.status)
				fmt.Fprint(w, c.page)
			})
			check := client(t, Options{AllowPrivate: true}).Check(t.Context(), server.URL+c.path, id)
			if got := string(check.Result) + " " + check.Reason; got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

func TestLongIDIsCutAsHyperKittyCutsIt(t *testing.T) {
	long := strings.Repeat("x", 300)
	server := site(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"message_id": %q}`, long[:254]) })
	check := client(t, Options{AllowPrivate: true}).Check(t.Context(), server.URL+"/list/a@b/message/A/", []byte(long))
	if check.Result != hashheader.Pass {
		t.Errorf("%+v", check)
	}
}

func TestPrivateAddressesAreNotConnectedTo(t *testing.T) {
	var asked atomic.Int32
	private := site(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	check := client(t, Options{}).Check(t.Context(), private.URL, id)
	if check.Result != hashheader.Policy || !strings.Contains(check.Reason, "--allow-private") || asked.Load() > 0 {
		t.Errorf("%+v, asked %d times", check, asked.Load())
	}
	byName := strings.Replace(private.URL, "127.0.0.1", "localhost", 1)
	if check := client(t, Options{}).Check(t.Context(), byName, id); check.Result != hashheader.Policy {
		t.Errorf("by name: %+v", check)
	}
}

func TestARedirectToAPrivateAddressIsNotFollowed(t *testing.T) {
	var asked atomic.Int32
	private := site(t, func(http.ResponseWriter, *http.Request) { asked.Add(1) })
	public := site(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, private.URL, http.StatusFound) })
	// The test's own site stands for a public one.
	c := newClient(Options{Timeout: 5 * time.Second}, func(network, address string, conn syscall.RawConn) error {
		if "http://"+address == public.URL {
			return nil
		}
		return publicOnly(network, address, conn)
	})
	defer c.Close()
	if check := c.Check(t.Context(), public.URL, id); check.Result != hashheader.Policy || asked.Load() > 0 {
		t.Errorf("%+v, asked %d times", check, asked.Load())
	}
}

func TestRedirectsAreBounded(t *testing.T) {
	var asked atomic.Int32
	loop := site(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/again", http.StatusFound)
	})
	away := site(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
	})
	c := client(t, Options{AllowPrivate: true})
	if check := c.Check(t.Context(), loop.URL, id); check.Result != hashheader.TempError || asked.Load() > maxRedirects+1 {
		t.Errorf("%+v, asked %d times", check, asked.Load())
	}
	if check := c.Check(t.Context(), away.URL, id); !strings.Contains(check.Reason, "only http and https") {
		t.Errorf("%+v", check)
	}
}

func TestOnlyHTTPIsFollowed(t *testing.T) {
	for _, u := range []string{"file:///etc/passwd", "ftp://x/y", "https:///x", "mailto:a@b"} {
		if check := client(t, Options{}).Check(t.Context(), u, id); check.Result != hashheader.PermError {
			t.Errorf("%s: %+v", u, check)
		}
	}
}

func TestSlowAndEndlessPagesAreBounded(t *testing.T) {
	release := make(chan struct{})
	slow := site(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	c := New(Options{Timeout: 50 * time.Millisecond, AllowPrivate: true})
	defer c.Close()
	if check := c.Check(t.Context(), slow.URL, id); check.Result != hashheader.TempError {
		t.Errorf("slow: %+v", check)
	}
	endless := site(t, func(w http.ResponseWriter, _ *http.Request) {
		for page := []byte(strings.Repeat("x", 64<<10)); ; {
			if _, err := w.Write(page); err != nil {
				return
			}
		}
	})
	if check := client(t, Options{AllowPrivate: true}).Check(t.Context(), endless.URL, id); check.Result != hashheader.Pass {
		t.Errorf("endless: %+v", check)
	}
}

func TestAHostIsAskedByFewAtATime(t *testing.T) {
	var running, most atomic.Int32
	server := site(t, func(http.ResponseWriter, *http.Request) {
		most.Store(max(most.Load(), running.Add(1)))
		time.Sleep(5 * time.Millisecond)
		running.Add(-1)
	})
	c := client(t, Options{AllowPrivate: true})
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() { c.Check(t.Context(), server.URL, id) })
	}
	wg.Wait()
	if n := most.Load(); n > perHost || n < 2 {
		t.Errorf("%d at a time", n)
	}
	if len(c.hosts) > 0 {
		t.Errorf("%d hosts are kept", len(c.hosts))
	}
}

func TestPublicAddresses(t *testing.T) {
	for address, want := range map[string]bool{
		"1.1.1.1": true, "2606:4700:4700::1111": true, "8.8.8.8": true,
		"127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false, "192.0.2.1": false,
		"::1": false, "::": false, "fe80::1": false, "fe80::1%eth0": false, "fd00::1": false, "fec0::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "::ffff:100.64.0.1": false, "::127.0.0.1": false,
		"::ffff:0:7f00:1": false, "192.88.99.1": false, "3fff:123::1": false, "5f00::1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:db8::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestWhatAPageStates(t *testing.T) {
	for page, want := range map[string]hashheader.Result{
		"Message-ID: <abc/d@example.org>":               hashheader.Pass,
		"<a href=/m/abc%2Fd@example.org/>":              hashheader.Pass,
		"<b>Message-Id</b>: &lt;abc/d@example.org&gt;":  hashheader.Pass,
		"Message-Id: &lt;other@example.org&gt;":         hashheader.Fail,
		"<th>MessageID:</th><td>other@example.org</td>": hashheader.Fail,
		"<meta name=\"message-id\" content=\"x\">":      hashheader.Pass, // no id
		"write to owner@example.org about your message": hashheader.Pass,
		// What a page states first is its message; the rest may be References.
		"Message-ID: abc/d@example.org, and other@example.org": hashheader.Pass,
		"Message-ID: other@example.org, and abc/d@example.org": hashheader.Fail,
		"Message-ID: abc/d@example.org. Next":                  hashheader.Pass,
		"Message-ID: abc/d@example.org.uk":                     hashheader.Fail,
		"Message-ID: <a href=\"/m/abc%2Fd@example.org\">x</a>": hashheader.Pass,
		"": hashheader.Pass,
	} {
		if got, reason := pageWord([]byte(page), id); got != want {
			t.Errorf("%q: %s, %s", page, got, reason)
		}
	}
}

// An id that is a part of a longer one, or a word of any page, is not found.
func TestIDsAreBounded(t *testing.T) {
	for _, c := range []struct{ id, page, want string }{
		{"html", "<html><body>", "it answers; the page states no Message-ID"},
		{"a@b", "write to <a@b>", "it answers, with this Message-ID"},
		{"a@b", "write to <a@b.example>", "it answers; the page states no Message-ID"},
		{"a@b", "write to <xa@b>", "it answers; the page states no Message-ID"},
		{"a@b", "aa@b xa@b, a@b", "it answers, with this Message-ID"},
		{"a@b", "/mail?id=a@b&x", "it answers, with this Message-ID"},
		{"html", "Message-ID: x@y", "it is another message: x@y"},
	} {
		if _, got := pageWord([]byte(c.page), []byte(c.id)); got != c.want {
			t.Errorf("%s in %q: %s, want %s", c.id, c.page, got, c.want)
		}
	}
}

func FuzzPageWord(f *testing.F) {
	f.Add([]byte("<dt>Message-ID</dt><dd>&lt;x@y&gt;"))
	f.Fuzz(func(t *testing.T, page []byte) {
		result, reason := pageWord(page, id)
		if result != hashheader.Pass && result != hashheader.Fail || len(reason) > 300 {
			t.Errorf("%s %q", result, reason)
		}
	})
}

func TestNoSuchHost(t *testing.T) {
	check := client(t, Options{}).Check(t.Context(), "https://permalink.invalid/1", id)
	if check.Result != hashheader.Fail && check.Result != hashheader.TempError { // without a resolver
		t.Errorf("%+v", check)
	}
}
