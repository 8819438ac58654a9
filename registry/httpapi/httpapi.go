// Package httpapi serves a registry over HTTP: a versioned JSON API for
// archivers, the resolver that permalinks lead to, and pages for people.
//
// It decides nothing about reservations; those rules are the registry's. It
// opens no listener: New returns a handler, and NewServer a server with the
// limits that the handler counts on. Client is the other end: a registry that
// is reached through the API.
package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
	"permalink-milter/registry/stamp"
)

// Options of New. All but Registry and Policy may be left out.
type Options struct {
	Registry registry.Registry
	Policy   *stamp.Policy
	// Tokens says who may use the API; nil lets nobody. See LoadTokens.
	Tokens *Tokens
	// Store, unless nil, is the store behind Registry. The handler is then for
	// a socket that only the store's owner may open: every client may do
	// everything, without a token, and read and change whole records.
	Store registry.Store
	// StoreName names the store to such a client, which compares it with the one
	// that it expects.
	StoreName string
	// BaseURL is the URL of the handler's / from outside, such as
	// https://permalink.example.org. It has no query. Without a URL, permalinks
	// are paths.
	BaseURL string
	Log     *slog.Logger
	// MaxBody bounds a message that is sent in with a token, in bytes; 0: no
	// bound. Only its header section is kept. Without a token the bound is
	// 64 KiB.
	MaxBody int64
	// Rate is how many requests per second a client may make without a token,
	// ten times as many at once; 0: no limit. Requests that cost more count as
	// several. IPv6 clients count by their /64.
	Rate float64
	// TrustedProxies are the peers whose X-Forwarded-For names the client, by
	// the last address in it that is not a trusted proxy's. Any other peer is
	// the client itself. Default: loopback and unix sockets alone.
	TrustedProxies []netip.Prefix
	// MaxRequests bounds the requests in progress with a token; default 1000.
	MaxRequests int
	// MaxPublic bounds those without a token; default 256. Half as many
	// more may send a message.
	MaxPublic int
	// MaxClient bounds the requests in progress of one client without a token;
	// default 16.
	MaxClient int
	// Timeout bounds the registry's answer to one request; default 5s.
	Timeout time.Duration
	// Counters returns more counts for the status page; nil: none.
	Counters func() []Counter
	// Observe, unless nil, is called after each request, with the pattern of its
	// route, empty where there is none, and the status of the answer.
	Observe func(pattern string, status int, took time.Duration)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Counter is one count of the daemon's for the status page.
type Counter = page.Counter

// setDefaults fills in what was left out.
func (o *Options) setDefaults() {
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	o.MaxBody = cmp.Or(o.MaxBody, math.MaxInt64)
	o.MaxRequests = cmp.Or(o.MaxRequests, 1000)
	o.MaxPublic = cmp.Or(o.MaxPublic, 256)
	o.MaxClient = cmp.Or(o.MaxClient, 16)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TrustedProxies == nil {
		o.TrustedProxies = loopback
	}
}

// A Handler is the http.Handler of API, resolver and pages. Make one with New.
type Handler struct {
	o      Options
	policy atomic.Pointer[stamp.Policy]
	tokens atomic.Pointer[Tokens]
	root   string              // the path of BaseURL, without a slash at its end
	self   hashheader.Template // of every URL under BaseURL; zero without one
	mux    *http.ServeMux
	rate   *limiter
	rooms  *rooms
	counts *cache[registry.Stats]
	lists  *cache[known]
}

// New returns the handler.
func New(o Options) (*Handler, error) {
	if o.Registry == nil || o.Policy == nil {
		return nil, errors.New("httpapi: no registry or no policy")
	}
	o.setDefaults()
	h := &Handler{o: o, rate: newLimiter(o.Rate), rooms: newRooms(o)}
	if err := h.setBase(o.BaseURL); err != nil {
		return nil, err
	}
	h.counts = &cache[registry.Stats]{read: o.Registry.Stats, keep: keepCounts, now: o.Now}
	h.lists = &cache[known]{read: h.readLists, keep: keepLists, now: o.Now}
	h.policy.Store(o.Policy)
	h.SetTokens(o.Tokens)
	h.addRoutes()
	return h, nil
}

// setBase reads the base URL.
func (h *Handler) setBase(base string) error {
	if base == "" {
		return nil
	}
	u, err := url.Parse(base)
	if err == nil {
		h.self, err = hashheader.ParseTemplate(base + "/{token}")
	}
	if err != nil {
		return fmt.Errorf("httpapi: base URL: %w", err)
	}
	h.root = u.EscapedPath()
	return nil
}

// SetPolicy makes p the policy of the requests that begin from now on.
func (h *Handler) SetPolicy(p *stamp.Policy) { h.policy.Store(p) }

// SetTokens makes t count for the requests that begin from now on.
func (h *Handler) SetTokens(t *Tokens) { h.tokens.Store(cmp.Or(t, new(Tokens))) }

// permalink returns the URL at which the resolver answers for a token.
func (h *Handler) permalink(list, token string) string {
	return h.o.BaseURL + page.Path("", list, token)
}

// ours reports whether a URL lies under BaseURL, however it is spelled.
func (h *Handler) ours(rawURL string) bool {
	return !h.self.IsZero() && h.self.Covers("<"+rawURL+"/>") // the slash for BaseURL itself
}
