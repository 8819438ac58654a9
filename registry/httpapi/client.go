package httpapi

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
)

// maxAnswer bounds one answer or one line of a listing, in bytes. A hash's
// 999 reservations fit.
const maxAnswer = 8 << 20

// A Client is a registry that is reached through the API: by a program on
// another host, or while the daemon holds the registry's file.
type Client struct {
	// Base is the server's base_url, such as https://permalink.example.org.
	Base string
	// Token has the scopes of the methods that are called.
	Token string
	// HTTP makes the requests; nil is http.DefaultClient. Deadlines are those of
	// the contexts that the methods get.
	HTTP *http.Client
}

var _ registry.Registry = (*Client)(nil)

// Reserve implements registry.Registry.
func (c *Client) Reserve(ctx context.Context, r registry.Request) (registry.Result, error) {
	var body registry.ReservationJSON
	request := reserveRequest{List: r.List, Hash: r.Hash, Identity: r.Identity.String(), Share: r.Share, Body: r.Body.String()}
	if err := c.call(ctx, "POST", "/reservations", request, &body); err != nil {
		return registry.Result{}, fmt.Errorf("reserve %s on %s: %w", r.Hash, r.List, err)
	}
	got, err := body.Reservation()
	outcome := registry.Fresh
	for _, o := range []registry.Outcome{registry.Held, registry.Shared, registry.Journalled, registry.Unreserved} {
		if body.Outcome == o.String() {
			outcome = o
		}
	}
	return registry.Result{Reservation: got, Outcome: outcome}, err
}

// Lookup implements registry.Registry.
func (c *Client) Lookup(ctx context.Context, list, token string) (registry.Reservation, error) {
	return c.one(ctx, "GET", list, token, "", nil)
}

// Confirm implements registry.Registry.
func (c *Client) Confirm(ctx context.Context, f registry.Confirmation) (registry.Reservation, error) {
	request := confirmRequest{URL: f.URL, Subject: f.Subject, Identity: text(f.Identity)}
	return c.one(ctx, "PUT", f.List, f.Token, "/archived", request)
}

// Release implements registry.Registry.
func (c *Client) Release(ctx context.Context, list, token string, id hashheader.Identity) error {
	suffix := ""
	if id := text(id); id != "" {
		suffix = "?identity=" + id
	}
	_, err := c.one(ctx, "DELETE", list, token, suffix, nil)
	return err
}

// text returns an identity as it is sent. The zero identity, which is not
// checked, is left out.
func text(id hashheader.Identity) string {
	if id == (hashheader.Identity{}) {
		return ""
	}
	return id.String()
}

// one makes a call about one token. It does not send an invalid list or token,
// which could change the path.
func (c *Client) one(ctx context.Context, method, list, token, suffix string, request any) (registry.Reservation, error) {
	list, err := hashheader.CheckList(list)
	if err == nil {
		_, err = hashheader.ParseReference(token)
	}
	if err != nil {
		return registry.Reservation{}, err
	}
	var body registry.ReservationJSON
	if err := c.call(ctx, method, page.Path("/reservations", list, token)+suffix, request, &body); err != nil {
		return registry.Reservation{}, fmt.Errorf("%s on %s: %w", token, list, err)
	}
	if method == "DELETE" {
		return registry.Reservation{}, nil
	}
	return body.Reservation()
}

// LookupHash implements registry.Registry.
func (c *Client) LookupHash(ctx context.Context, list, hash string) ([]registry.Reservation, error) {
	k, err := registry.NewKey(list, hash)
	if err != nil {
		return nil, err
	}
	var body reservations
	if err := c.call(ctx, "GET", page.Path("/hashes", k.List, k.Hash), nil, &body); err != nil {
		return nil, fmt.Errorf("look up %s on %s: %w", k.Hash, k.List, err)
	}
	var all []registry.Reservation
	for _, b := range body.Reservations {
		r, err := b.Reservation()
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// List implements registry.Registry. It yields registry.ErrUnavailable for a
// listing that breaks off.
func (c *Client) List(ctx context.Context, list string) iter.Seq2[registry.Reservation, error] {
	return func(yield func(registry.Reservation, error) bool) {
		err := c.eachLine(ctx, "/reservations?list="+url.QueryEscape(list), func(l line) bool { return yield(l.reservation()) })
		if err != nil {
			yield(registry.Reservation{}, fmt.Errorf("list %s: %w", cmp.Or(list, "reservations"), err))
		}
	}
}

// A line is one of a listing or of a scan: a reservation, a record, an entry
// that cannot be read, or the last line.
type line struct {
	registry.ReservationJSON
	Hash  string `json:"hash"` // of a record or an entry that cannot be read
	Entry []byte `json:"entry"`
	corruptLine
	lastLine
}

func (l line) reservation() (registry.Reservation, error) {
	if err := l.unreadable(); err != nil {
		return registry.Reservation{List: l.List, Hash: l.Hash}, err
	}
	return l.Reservation()
}

// unreadable returns the error that the line describes, nil for none.
func (l corruptLine) unreadable() error {
	if l.Corrupt == "" {
		return nil
	}
	return fmt.Errorf("%w: %s", registry.ErrCorrupt, l.Corrupt)
}

// eachLine takes the lines of an answer until its last one, or until take wants
// no more.
func (c *Client) eachLine(ctx context.Context, path string, take func(line) bool) error {
	answer, err := c.send(ctx, "GET", path, nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	scanner := bufio.NewScanner(answer.Body)
	scanner.Buffer(nil, maxAnswer)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			return unavailable(err)
		}
		switch {
		case l.Problem != nil:
			return l.Problem.Err()
		case l.End != nil && l.End.More:
			return fmt.Errorf("%w with all of it: there are more than %d reservations; ask for one list", registry.ErrUnavailable, l.End.Count)
		case l.End != nil, !take(l):
			return nil
		}
	}
	return unavailable(errors.Join(errors.New("the listing was cut off"), scanner.Err()))
}

// Stats implements registry.Registry. The counts may be a minute old.
func (c *Client) Stats(ctx context.Context) (registry.Stats, error) {
	var body statsBody
	err := c.call(ctx, "GET", "/stats", nil, &body)
	return registry.Stats(body.statsJSON), err
}

// Close implements registry.Registry.
func (c *Client) Close() error {
	c.http().CloseIdleConnections()
	return nil
}

func (c *Client) http() *http.Client {
	if c.HTTP == nil {
		return http.DefaultClient
	}
	return c.HTTP
}

// call sends a request and reads its answer, if there is one, into answer.
func (c *Client) call(ctx context.Context, method, path string, request, answer any) error {
	got, err := c.send(ctx, method, path, request)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if got.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(got.Body, maxAnswer)).Decode(answer); err != nil {
		return unavailable(err)
	}
	return nil
}

// send returns the answer to a request, or the error that a problem describes.
func (c *Client) send(ctx context.Context, method, path string, request any) (*http.Response, error) {
	var body io.Reader
	if request != nil {
		data, err := json.Marshal(request)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(data)
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.Base, "/")+"/api/v1"+path, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http().Do(r)
	if err != nil {
		return nil, unavailable(err)
	}
	if answer.StatusCode < 300 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, readProblem(answer)
}

// readProblem returns the error of an answer. One that is not from our server,
// such as a reverse proxy's 502, counts as no answer.
func readProblem(answer *http.Response) error {
	var p problem
	err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&p)
	if err != nil || !strings.HasPrefix(p.Type, problemPrefix) {
		return unavailable(fmt.Errorf("HTTP %s, and not in permalink-milter's words: is %s its base_url?", answer.Status, answer.Request.URL.Host))
	}
	return p.Err()
}

func unavailable(err error) error { return fmt.Errorf("%w: %w", registry.ErrUnavailable, err) }
