package conform

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"permalink-milter/hashheader"
)

// A ResolverTarget is a server that redirects from /LIST/TOKEN.
type ResolverTarget struct {
	Base      *url.URL // what stands before /LIST/TOKEN
	List      string
	Message   []byte                // one that holds its bare hash on the list
	Templates []hashheader.Template // where the resolver may lead
	Algorithm hashheader.Algorithm  // of the token
}

// A resolver is the server under test.
type resolver struct {
	ResolverTarget
	client      http.Client
	hash, claim string
}

// elsewhere is a host that no resolver may lead to.
const elsewhere = "elsewhere.conform.invalid"

// Resolver returns the tests of a resolver.
func Resolver(t ResolverTarget) ([]Test, error) {
	h, err := hashheader.ReadHeader(strings.NewReader(string(t.Message)))
	if err != nil {
		return nil, err
	}
	id, err := h.MessageID()
	if err == nil && len(id) == 0 {
		err = errors.New("the message has no Message-ID")
	}
	if err != nil {
		return nil, err
	}
	r := &resolver{ResolverTarget: t}
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if r.hash, err = t.Algorithm.Hash(id); err != nil {
		return nil, err
	}
	r.claim = hashheader.Identify(h, id, []string{"message-id", "date"}).Claim()
	tests := []Test{
		{"RES-2", "the hash", r.leads(r.hash)},
		{"RES-2", "the hash in lower case", r.leads(strings.ToLower(r.hash))},
		{"TOK-4", "the hash and a claim", r.leads(r.hash + "=" + r.claim)},
		{"TOK-4", "the hash and a claim of another message", r.leadsNowhere(r.hash + "=" + other(r.claim))},
	}
	for _, path := range []string{r.hash + "-2", r.hash[1:], other(r.hash), "%2F%2F" + elsewhere, "//" + elsewhere + "/", "https:%2F%2F" + elsewhere,
		r.hash + "@" + elsewhere, r.hash + "?url=https://" + elsewhere + "/", r.hash + "%0D%0ALocation:%20https://" + elsewhere + "/", "..%2F..%2F%2F" + elsewhere} {
		tests = append(tests, Test{"RES-1", "/" + path, r.leadsHome(r.List, path, "")})
	}
	return append(tests,
		Test{"RES-1", "another list", r.leadsHome("x@"+elsewhere, r.hash, "")},
		Test{"RES-1", "another Host", r.leadsHome(r.List, r.hash, elsewhere)}), nil
}

// other returns the text with its first character changed to another one that
// hashes and claims have.
func other(s string) string {
	if s[0] == '2' {
		return "3" + s[1:]
	}
	return "2" + s[1:]
}

// get asks for a path behind the list, and returns where it leads: "" for
// nowhere.
func (r *resolver) get(ctx context.Context, list, path, host string) (location *url.URL, status int, err error) {
	at := strings.TrimSuffix(r.Base.String(), "/") + "/" + url.PathEscape(list) + "/" + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, 0, err
	}
	request.Host = host
	answer, err := r.client.Do(request)
	if err != nil {
		return nil, 0, err
	}
	answer.Body.Close()
	if answer.StatusCode/100 == 5 {
		return nil, 0, fmt.Errorf("%s is answered %s", at, answer.Status)
	}
	location, err = answer.Location()
	if errors.Is(err, http.ErrNoLocation) {
		return nil, answer.StatusCode, nil
	}
	return location, answer.StatusCode, err
}

// isHome reports whether a URL is one of the templates'.
func (r *resolver) isHome(u *url.URL) bool {
	for _, t := range r.Templates {
		if t.Covers("<" + u.String() + ">") {
			return true
		}
	}
	return false
}

// leads wants a token to lead to an archive.
func (r *resolver) leads(token string) func(context.Context) error {
	return func(ctx context.Context) error {
		to, status, err := r.get(ctx, r.List, token, "")
		switch {
		case err != nil:
			return err
		case to == nil:
			return fmt.Errorf("%s is answered %d and leads nowhere", token, status)
		case !r.isHome(to):
			return fmt.Errorf("%s leads to %q, which is not under a template", token, to)
		}
		return nil
	}
}

func (r *resolver) leadsNowhere(token string) func(context.Context) error {
	return func(ctx context.Context) error {
		to, _, err := r.get(ctx, r.List, token, "")
		if err == nil && to != nil {
			err = fmt.Errorf("%s leads to %q", token, to)
		}
		return err
	}
}

// leadsHome wants a request to lead nowhere, to an archive, or to another path
// of the resolver itself.
func (r *resolver) leadsHome(list, path, host string) func(context.Context) error {
	return func(ctx context.Context) error {
		to, _, err := r.get(ctx, list, path, host)
		if err == nil && to != nil && to.Host != r.Base.Host && !r.isHome(to) {
			err = fmt.Errorf("it leads to %q, which is not under a template", to)
		}
		return err
	}
}
