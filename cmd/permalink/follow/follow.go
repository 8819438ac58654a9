// Package follow checks that the target of an Archived-At field answers, and
// with the message. The URL comes from a message, that is, from anyone: every
// wait and size is bounded, and it connects to no address of a private network.
package follow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"permalink-milter/hashheader"
)

// Method is the name of the check.
const Method = "follow"

// userAgent is what servers log.
const userAgent = "permalink-milter verify"

// The bounds of one check.
const (
	maxPage      = 1 << 20 // bytes that are read of a page
	maxRedirects = 5
	perHost      = 4 // requests at a time
	dialTimeout  = 5 * time.Second
)

// Options of New.
type Options struct {
	Timeout time.Duration // for one permalink, all redirects included
	// AllowPrivate permits loopback, private and link-local addresses.
	AllowPrivate bool
}

// A Client follows permalinks. Its methods are safe for concurrent use.
type Client struct {
	http    *http.Client
	options Options
	mu      sync.Mutex
	hosts   map[string]*host // those with requests in progress or waiting
}

// A host lets perHost requests be in progress at a time.
type host struct {
	turns chan struct{}
	users int
}

// New returns a client. It uses no proxy, which could connect to the addresses
// that the client must not.
func New(o Options) *Client {
	if o.AllowPrivate {
		return newClient(o, nil)
	}
	return newClient(o, publicOnly)
}

func newClient(o Options, control func(network, address string, c syscall.RawConn) error) *Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: control}
	return &Client{options: o, hosts: make(map[string]*host), http: &http.Client{
		Transport: &http.Transport{DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost: perHost, IdleConnTimeout: 10 * time.Second, ForceAttemptHTTP2: true},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return checkScheme(req.URL)
		},
	}}
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Check checks that a permalink leads to the message with this canonical
// Message-ID.
func (c *Client) Check(ctx context.Context, permalink string, id []byte) hashheader.Check {
	check := hashheader.Check{Method: Method, Value: permalink}
	check.Result, check.Reason = c.follow(ctx, permalink, id)
	return check
}

// follow returns the result of a check and the reason for it.
func (c *Client) follow(ctx context.Context, permalink string, id []byte) (hashheader.Result, string) {
	u, err := url.Parse(permalink)
	if err == nil {
		err = checkScheme(u)
	}
	if err != nil {
		return hashheader.PermError, err.Error()
	}
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	leave, err := c.enter(ctx, u.Host)
	if err != nil {
		return hashheader.TempError, "no turn at " + u.Host + " within the time-out"
	}
	defer leave()
	if api, ok := hyperKitty(u); ok {
		if result, reason, ok := c.askHyperKitty(ctx, api, id); ok {
			return result, reason
		}
	}
	status, page, err := c.get(ctx, u.String())
	if err != nil {
		return wentWrong(err)
	}
	if result, reason := statusWord(status); result != hashheader.Pass {
		return result, reason
	}
	return pageWord(page, id)
}

// enter waits for a turn at a host.
func (c *Client) enter(ctx context.Context, name string) (leave func(), err error) {
	c.mu.Lock()
	h := c.hosts[name]
	if h == nil {
		h = &host{turns: make(chan struct{}, perHost)}
		c.hosts[name] = h
	}
	h.users++
	c.mu.Unlock()
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns; c.forget(name, h) }, nil
	case <-ctx.Done():
		c.forget(name, h)
		return nil, ctx.Err()
	}
}

// forget drops a host without requests.
func (c *Client) forget(name string, h *host) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h.users--; h.users == 0 {
		delete(c.hosts, name)
	}
}

// checkScheme checks the URL of a permalink or a redirect.
func checkScheme(u *url.URL) error {
	if !hashheader.IsWeb(u) {
		return fmt.Errorf("%.200s: only http and https are followed", u.Redacted())
	}
	return nil
}

// get returns the status and the first bytes of a page.
func (c *Client) get(ctx context.Context, target string) (status int, page []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("User-Agent", userAgent)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	page, err = io.ReadAll(io.LimitReader(resp.Body, maxPage))
	return resp.StatusCode, page, err
}

// wentWrong returns what an error of get means. A name that does not resolve
// and a private address are final; other errors may pass.
func wentWrong(err error) (hashheader.Result, string) {
	var resolve *net.DNSError
	var private *privateError
	var inner *url.Error
	reason := err.Error()
	if errors.As(err, &inner) {
		reason = inner.Err.Error()
	}
	switch {
	case errors.As(err, &private):
		return hashheader.Policy, private.Error()
	case errors.As(err, &resolve) && resolve.IsNotFound:
		return hashheader.Fail, "no such host"
	}
	return hashheader.TempError, reason
}

// statusWord returns what an HTTP status means for a permalink. What asks for a
// login cannot be checked.
func statusWord(status int) (hashheader.Result, string) {
	reason := fmt.Sprintf("it answers %d %s", status, http.StatusText(status))
	switch {
	case status == http.StatusOK:
		return hashheader.Pass, ""
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return hashheader.Policy, reason
	case status >= 500 || status == http.StatusTooManyRequests || status == http.StatusRequestTimeout:
		return hashheader.TempError, reason
	}
	return hashheader.Fail, reason
}

var hyperKittyPath = regexp.MustCompile(`^(.*)/list/([^/]+@[^/]+)/message/(\w+)/?$`)

// hyperKitty returns the URL of a message in HyperKitty's API where the
// permalink is of HyperKitty's form.
func hyperKitty(u *url.URL) (string, bool) {
	m := hyperKittyPath.FindStringSubmatch(u.Path)
	if m == nil {
		return "", false
	}
	api := url.URL{Scheme: u.Scheme, Host: u.Host, Path: m[1] + "/api/list/" + m[2] + "/email/" + m[3] + "/", RawQuery: "format=json"}
	return api.String(), true
}

// askHyperKitty asks the API. It returns ok = false where there is none.
func (c *Client) askHyperKitty(ctx context.Context, api string, id []byte) (result hashheader.Result, reason string, ok bool) {
	status, page, err := c.get(ctx, api)
	if err != nil || status != http.StatusOK {
		return "", "", false // the page itself decides
	}
	var email struct {
		MessageID string `json:"message_id"`
	}
	if json.Unmarshal(page, &email) != nil || email.MessageID == "" {
		return "", "", false
	}
	if stored := hashheader.Canonical(nil, email.MessageID); !sameID(stored, id) {
		return hashheader.Fail, fmt.Sprintf("HyperKitty has another message there: %.200s", stored), true
	}
	return hashheader.Pass, "HyperKitty has it", true
}

// hyperKittyMax is where HyperKitty cuts ids of 255 or more bytes.
const hyperKittyMax = 254

// sameID compares a stored id with a message's.
func sameID(stored, id []byte) bool {
	if len(id) > hyperKittyMax {
		id = id[:hyperKittyMax]
	}
	return strings.TrimSpace(string(stored)) == string(id)
}
