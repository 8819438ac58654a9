package httpapi_test

import (
	"fmt"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"permalink-milter/registry/httpapi"
)

// A clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// from asks for a small file and returns the status.
func from(h *httpapi.Handler, peer string, forwarded ...string) int {
	r := httptest.NewRequest("GET", "/static/icon.svg", nil)
	r.RemoteAddr = peer
	for _, f := range forwarded {
		r.Header.Add("X-Forwarded-For", f)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func TestAClientMayComeTenSecondsWorthAtOnce(t *testing.T) {
	c := &clock{now: now()}
	h := newHandler(t, httpapi.Options{Rate: 2, Now: c.Now})
	for n := range 20 {
		if status := from(h, "192.0.2.1:1"); status != 200 {
			t.Fatalf("request %d: %d", n+1, status)
		}
	}
	if status := from(h, "192.0.2.1:2"); status != 429 {
		t.Errorf("one more: %d", status)
	}
	if status := from(h, "192.0.2.2:1"); status != 200 {
		t.Errorf("another client: %d", status)
	}
	c.advance(500 * time.Millisecond)
	if status := from(h, "192.0.2.1:1"); status != 200 {
		t.Errorf("half a second later: %d", status)
	}
	if status := from(h, "192.0.2.1:1"); status != 429 {
		t.Errorf("and once more: %d", status)
	}
}

// Each case makes requests that count for one client, or for several.
func TestWhoTheClientIs(t *testing.T) {
	for name, c := range map[string]struct {
		first, second []string // the peer, and what X-Forwarded-For says
		same          bool
	}{
		"ports do not count":                         {[]string{"192.0.2.1:1"}, []string{"192.0.2.1:2"}, true},
		"one network of IPv6 is one client":          {[]string{"[2001:db8::1]:1"}, []string{"[2001:db8::ffff:1]:1"}, true},
		"two networks of IPv6 are two":               {[]string{"[2001:db8::1]:1"}, []string{"[2001:db8:0:1::1]:1"}, false},
		"IPv4 within IPv6 is IPv4":                   {[]string{"[::ffff:192.0.2.1]:1"}, []string{"192.0.2.1:1"}, true},
		"a proxy on this host names the client":      {[]string{"127.0.0.1:1", "192.0.2.1"}, []string{"127.0.0.1:1", "192.0.2.2"}, false},
		"the last address counts":                    {[]string{"127.0.0.1:1", "203.0.113.1, 192.0.2.1"}, []string{"127.0.0.1:1", "203.0.113.2", "192.0.2.1"}, true},
		"a made-up first address counts for nothing": {[]string{"[::1]:1", "127.0.0.1, 192.0.2.1"}, []string{"[::1]:1", "192.0.2.1"}, true},
		"another peer is not believed":               {[]string{"192.0.2.1:1", "203.0.113.1"}, []string{"192.0.2.1:1", "203.0.113.2"}, true},
		"a chain of proxies here":                    {[]string{"127.0.0.1:1", "192.0.2.1, 127.0.0.2"}, []string{"127.0.0.1:1", "192.0.2.2, 127.0.0.2"}, false},
		"a proxy on a unix socket names the client":  {[]string{"@", "192.0.2.1"}, []string{"@", "192.0.2.2"}, false},
		"an invalid address ends the search":         {[]string{"127.0.0.1:1", "192.0.2.1, x"}, []string{"127.0.0.1:1", "192.0.2.2, x"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHandler(t, httpapi.Options{Rate: 0.01})
			if status := from(h, c.first[0], c.first[1:]...); status != 200 {
				t.Fatalf("the first: %d", status)
			}
			if status := from(h, c.second[0], c.second[1:]...); (status == 429) != c.same {
				t.Errorf("the second: %d", status)
			}
		})
	}
}

func TestTheTableOfClientsIsBounded(t *testing.T) {
	c := &clock{now: now()}
	h := newHandler(t, httpapi.Options{Rate: 0.01, Now: c.Now})
	for n := range 10_000 {
		from(h, fmt.Sprintf("10.0.%d.%d:1", n>>8, n&255))
	}
	if status := from(h, "192.0.2.1:1"); status != 200 {
		t.Errorf("the first past the table: %d", status)
	}
	if status := from(h, "192.0.2.2:1"); status != 429 {
		t.Errorf("the second shares its place: %d", status)
	}
	c.advance(time.Hour)
	for _, peer := range []string{"192.0.2.3:1", "192.0.2.4:1"} {
		if status := from(h, peer); status != 200 {
			t.Errorf("%s when the table has emptied: %d", peer, status)
		}
	}
}

func TestATokenIsNotLimited(t *testing.T) {
	token, tokens := everything(t)
	h := newHandler(t, httpapi.Options{Rate: 0.01, Tokens: tokens})
	for range 5 {
		if answer := do(h, "GET", "/api/v1/stats", "Authorization: Bearer "+token); answer.StatusCode != 200 {
			t.Fatalf("%d", answer.StatusCode)
		}
	}
}
