// Package httpapi serves a registry over HTTP: a versioned JSON API for
// archivers, the resolver that permalinks lead to, and a page for people.
//
// It decides nothing about reservations; those rules are the registry's. It
// opens no listener: New returns a handler, NewServer a server with the time
// limits that the handler counts on. Client is the other end: a registry that
// is reached through the API.
package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/stamp"
)

// Options of New. All but Registry and Policy may be left out.
type Options struct {
	Registry registry.Registry
	Policy   *stamp.Policy
	// Tokens are who may use the API; nil: nobody. See LoadTokens.
	Tokens *Tokens
	// BaseURL is what the handler's / is to the outside, as
	// https://permalink.example.org. Without one, permalinks are paths.
	BaseURL string
	Log     *slog.Logger
	// MaxBody bounds a message that is sent in, in bytes; default 32 MiB.
	// Only its header section is kept.
	MaxBody int64
	// Rate is how many requests per second a client may make without a token,
	// ten times as many at once; default 10, below zero: no limit. IPv6
	// clients count by their /64.
	Rate float64
	// TrustedProxies are the peers whose X-Forwarded-For names the client, by
	// the last address in it that is not a trusted proxy's. Any other peer is
	// the client itself. Default: loopback and unix sockets alone.
	TrustedProxies []netip.Prefix
	// MaxRequests bounds the requests in progress; default 1000.
	MaxRequests int
	// Timeout bounds the registry's answer to one request; default 5s.
	Timeout time.Duration
	// StatsTTL is how long counts are reused: making them reads the whole
	// store. Default one minute.
	StatsTTL time.Duration
	// Counters are more counts for the status page; nil: none.
	Counters func() []Counter
	// Observe is told of each request: the pattern of its route, empty where
	// there is none, and the status of the answer; nil: nobody is.
	Observe func(pattern string, status int, took time.Duration)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Counter is one count of the daemon's for the status page.
type Counter struct {
	Name  string
	Value int64
}

// A Handler is the http.Handler of API, resolver and page. Make one with New.
type Handler struct {
	o       Options
	policy  atomic.Pointer[stamp.Policy]
	tokens  atomic.Pointer[Tokens]
	root    string // the path of BaseURL, without a slash at its end
	mux     *http.ServeMux
	clients *limiter
	busy    chan struct{}
	counts  *counts
}

// New returns the handler.
func New(o Options) (*Handler, error) {
	if o.Registry == nil || o.Policy == nil {
		return nil, errors.New("httpapi: no registry or no policy")
	}
	root, err := basePath(o.BaseURL)
	if err != nil {
		return nil, err
	}
	o.BaseURL = strings.TrimSuffix(o.BaseURL, "/")
	o.MaxBody = cmp.Or(o.MaxBody, 32<<20)
	o.Rate = cmp.Or(o.Rate, 10)
	o.MaxRequests = cmp.Or(o.MaxRequests, 1000)
	o.Timeout = cmp.Or(o.Timeout, 5*time.Second)
	o.StatsTTL = cmp.Or(o.StatsTTL, time.Minute)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.TrustedProxies == nil {
		o.TrustedProxies = loopback
	}
	h := &Handler{o: o, root: root, clients: newLimiter(o.Rate), busy: make(chan struct{}, o.MaxRequests), counts: newCounts()}
	h.policy.Store(o.Policy)
	h.SetTokens(o.Tokens)
	h.mux = h.routes()
	return h, nil
}

// basePath returns the path of base_url.
func basePath(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || base != "" && !isWeb(u) || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("http.base_url = %q: write an absolute URL, as https://permalink.example.org", base)
	}
	return strings.TrimSuffix(u.EscapedPath(), "/"), nil
}

// SetPolicy makes p count for the requests that begin from now on.
func (h *Handler) SetPolicy(p *stamp.Policy) { h.policy.Store(p) }

// SetTokens makes t count for the requests that begin from now on.
func (h *Handler) SetTokens(t *Tokens) { h.tokens.Store(cmp.Or(t, new(Tokens))) }

// permalink returns where the resolver answers for a token.
func (h *Handler) permalink(list, token string) string {
	return h.o.BaseURL + path("", list, token)
}

// path joins segments behind a prefix, each escaped.
func path(prefix string, segments ...string) string {
	for _, s := range segments {
		prefix += "/" + url.PathEscape(s)
	}
	return prefix
}
