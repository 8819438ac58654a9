package httpapi_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
)

// A down is a registry that answers with an error.
type down struct {
	registry.Registry
	err error
}

var errDown = fmt.Errorf("%w: dial tcp 10.0.0.1:6379: refused", registry.ErrUnavailable)

var errCorrupt = fmt.Errorf("%w: %w: /var/lib/x.db", registry.ErrUnavailable, registry.ErrCorrupt)

func (d down) Reserve(context.Context, registry.Request) (registry.Result, error) {
	return registry.Result{}, d.err
}
func (d down) Lookup(context.Context, string, string) (registry.Reservation, error) {
	return registry.Reservation{}, d.err
}
func (d down) LookupHash(context.Context, string, string) ([]registry.Reservation, error) {
	return nil, d.err
}
func (d down) Confirm(context.Context, registry.Confirmation) (registry.Reservation, error) {
	return registry.Reservation{}, d.err
}
func (d down) Release(context.Context, string, string, hashheader.Identity) error { return d.err }
func (d down) Stats(context.Context) (registry.Stats, error)                      { return registry.Stats{}, d.err }
func (d down) List(context.Context, string) iter.Seq2[registry.Reservation, error] {
	return func(yield func(registry.Reservation, error) bool) { yield(registry.Reservation{}, d.err) }
}

// An operation is a valid request of each route.
type operation struct {
	pattern, target, contentType, body string
}

const (
	one  = "/api/v1/reservations/" + list + "/" + hash
	mail = "Message-ID: <" + firstID + ">\nDate: Tue, 24 Nov 2026 10:00:00 +0000\nList-Post: <mailto:" + list + ">\n\nbody\n"
)

var (
	reserveOp = operation{"POST /api/v1/reservations", "/api/v1/reservations", "application/json",
		`{"list": "` + list + `", "hash": "` + hash + `", "identity": "000102030405060708090a0b0c0d0e0f", "share": false, "body": ""}`}
	listOp    = operation{"GET /api/v1/reservations", "/api/v1/reservations?list=" + list, "", ""}
	lookupOp  = operation{"GET /api/v1/reservations/{list}/{token}", one, "", ""}
	confirmOp = operation{"PUT /api/v1/reservations/{list}/{token}/archived", one + "/archived", "application/json",
		`{"url": "https://one.example/1", "subject": "Grüße", "identity": "` + identity(1).String() + `"}`}
	releaseOp = operation{"DELETE /api/v1/reservations/{list}/{token}", one, "", ""}
	hashesOp  = operation{"GET /api/v1/hashes/{list}/{hash}", "/api/v1/hashes/" + list + "/" + hash, "", ""}
	statsOp   = operation{"GET /api/v1/stats", "/api/v1/stats", "", ""}
	messageOp = operation{"POST /api/v1/messages", "/api/v1/messages", "message/rfc822", mail}
	openOp    = operation{"GET /api/v1/openapi.json", "/api/v1/openapi.json", "", ""}
)

// An apiCase is an operation with something changed.
type apiCase struct {
	name   string
	op     operation
	change func(c *call)
	status int
}

// A call is what a case may change.
type call struct {
	operation
	options httpapi.Options
	token   string // "" for none
	times   int    // that it is made; the last answer counts
}

func at(target string) func(c *call)   { return func(c *call) { c.target = target } }
func saying(body string) func(c *call) { return func(c *call) { c.body = body } }

// apiCases has every status of every operation.
func apiCases(t *testing.T) []apiCase {
	cases := []apiCase{
		{"reserve for a new message", reserveOp, nil, 201},
		{"reserve for one that holds a token", reserveOp, saying(strings.Replace(reserveOp.body, "000102030405060708090a0b0c0d0e0f", identity(2).String(), 1)), 200},
		{"reserve, sharing", reserveOp, saying(strings.Replace(reserveOp.body, "false", "true", 1)), 200},
		{"reserve a full hash", reserveOp, func(c *call) { c.options.Registry = reserved(t, list, hashheader.MaxOrdinal) }, 409},
		{"reserve with JSON cut off", reserveOp, saying("{\n  \"list\": "), 400},
		{"reserve with JSON that is none", reserveOp, saying("{\n  \"list\": devel\n}"), 400},
		{"reserve with a number for a string", reserveOp, saying("{\n\"list\": 5}"), 400},
		{"reserve with an unknown field", reserveOp, saying(`{"lists": "x"}`), 400},
		{"reserve with two values", reserveOp, saying(reserveOp.body + "\n{}"), 400},
		{"reserve without an identity", reserveOp, saying(`{"list": "` + list + `", "hash": "` + hash + `"}`), 400},
		{"reserve with an identity that is none", reserveOp, saying(`{"list": "` + list + `", "hash": "` + hash + `", "identity": "x"}`), 400},
		{"reserve on an invalid list", reserveOp, saying(strings.Replace(reserveOp.body, list, "a\\r\\nb@c", 1)), 400},
		{"list one list", listOp, nil, 200},
		{"list at most one", listOp, at(listOp.target + "&limit=1"), 200},
		{"list the archived", listOp, at(listOp.target + "&state=archived"), 200},
		{"list all lists", listOp, at("/api/v1/reservations"), 200},
		{"list with a limit of none", listOp, at(listOp.target + "&limit=0"), 400},
		{"list a state that is none", listOp, at(listOp.target + "&state=vacant"), 400},
		{"look up", lookupOp, nil, 200},
		{"look up in the other case", lookupOp, at("/api/v1/reservations/DEVEL@lists.example.org/" + strings.ToLower(hash) + "-2"), 200},
		{"look up by a claim", lookupOp, at(one + "=" + identity(2).Claim()), 200},
		{"look up by an unknown claim", lookupOp, at(one + "=00000000"), 404},
		{"look up by a claim that is too short", lookupOp, at(one + "=0000"), 400},
		{"confirm by a claim", confirmOp, func(c *call) {
			c.target, c.body = one+"="+identity(2).Claim()+"/archived", `{"url": "https://one.example/2"}`
		}, 200},
		{"confirm by a claim for another", confirmOp, at(one + "=" + identity(2).Claim() + "/archived"), 409},
		{"confirm by an unknown claim", confirmOp, at(one + "=00000000/archived"), 404},
		{"release by a claim", releaseOp, at(one + "=" + identity(2).Claim()), 204},
		{"release by a claim an archived one", releaseOp, at(one + "=" + archivedClaim), 409},
		{"look up a token that is free", lookupOp, at(one + "-9"), 404},
		{"look up an invalid token", lookupOp, at(one + "-1"), 400},
		{"confirm", confirmOp, nil, 200},
		{"confirm without an identity", confirmOp, saying(`{"url": "http://one.example/1"}`), 200},
		{"confirm another's", confirmOp, saying(`{"url": "http://one.example/1", "identity": "000102030405060708090a0b0c0d0e0f"}`), 409},
		{"confirm a token that is free", confirmOp, at(one + "-9/archived"), 404},
		{"confirm with a script", confirmOp, saying(`{"url": "javascript://one.example/%0aalert(1)"}`), 400},
		{"confirm with a name in the URL", confirmOp, saying(`{"url": "https://one.example@evil.example/"}`), 400},
		{"confirm with a line end in the URL", confirmOp, saying(`{"url": "https://one.example/\r\nSet-Cookie: a=b"}`), 400},
		{"confirm with the permalink itself", confirmOp, saying(`{"url": "` + base + `/` + list + `/` + hash + `"}`), 400},
		{"confirm with the permalink by http", confirmOp, saying(`{"url": "HTTP` + strings.TrimPrefix(base, "https") + `/x"}`), 400},
		{"release", releaseOp, nil, 204},
		{"release with the identity", releaseOp, at(one + "?identity=" + identity(1).String()), 204},
		{"release another's", releaseOp, at(one + "?identity=" + identity(2).String()), 409},
		{"release a token that is free", releaseOp, at(one + "-9"), 404},
		{"release an archived one", releaseOp, at(one + "-3"), 409},
		{"release with an identity that is none", releaseOp, at(one + "?identity=x"), 400},
		{"look a hash up", hashesOp, nil, 200},
		{"look up a hash that is free", hashesOp, at("/api/v1/hashes/other@lists.example.org/" + hash), 200},
		{"look a hash up with a claim", hashesOp, at(hashesOp.target + "=" + identity(2).Claim()), 200},
		{"look a hash up with an unknown claim", hashesOp, at(hashesOp.target + "=00000000"), 200},
		{"look a hash up with a claim that is too short", hashesOp, at(hashesOp.target + "=0000"), 400},
		{"look a token up as a hash", hashesOp, at(hashesOp.target + "-2"), 400},
		{"look up an invalid hash", hashesOp, at("/api/v1/hashes/" + list + "/x"), 400},
		{"count", statsOp, nil, 200},
		{"hash a message", messageOp, nil, 200},
		{"hash a message that holds its token", messageOp, saying(strings.Replace(mail, "Date: Tue, 24", "Date: Mon, 23", 1)), 200},
		{"hash a message for named lists", messageOp, at("/api/v1/messages?list=users@lists.example.org&list=x@one.example.org"), 200},
		{"hash a message without a Message-ID", messageOp, saying("From: a@example.org\nSubject: x\n\n"), 200},
		{"hash a page", messageOp, saying("<html>\n"), 422},
		{"hash for an invalid list", messageOp, at("/api/v1/messages?list=x"), 400},
		{"hash for too many lists", messageOp, at("/api/v1/messages?" + strings.Repeat("list=a@b.example&", 9)), 400},
		{"a hash of a message of many fields", messageOp, saying(strings.Repeat("A: b\n", 2100) + mail), 413},
		{"the document", openOp, nil, 200},
	}
	ops := []operation{reserveOp, listOp, lookupOp, confirmOp, releaseOp, hashesOp, statsOp, messageOp, openOp}
	for _, op := range ops {
		cases = append(cases, apiCase{op.pattern + " too often", op, func(c *call) { c.options.Rate, c.token, c.times = 0.001, "", 2 }, 429})
		if op != openOp {
			unreadable := 500
			if op == listOp {
				unreadable = 200 // it goes on
			}
			cases = append(cases, apiCase{op.pattern + " while the registry is down", op, func(c *call) { c.options.Registry = down{err: errDown} }, 503},
				apiCase{op.pattern + " of what cannot be read", op, func(c *call) { c.options.Registry = down{err: errCorrupt} }, unreadable})
		}
		if op != openOp && op != messageOp {
			token, tokens := newTokens(t, `scopes = ["read", "reserve", "confirm", "release"]`+"\n"+`lists = ["*@other.example"]`)
			cases = append(cases,
				apiCase{op.pattern + " without a token", op, func(c *call) { c.token = "" }, 401},
				apiCase{op.pattern + " with an unknown token", op, func(c *call) { c.token = "x" }, 401},
				apiCase{op.pattern + " with a token for other lists", op, func(c *call) { c.token, c.options.Tokens = token, tokens }, 403})
		}
		if op.body != "" {
			cases = append(cases,
				apiCase{op.pattern + " with a form", op, func(c *call) { c.contentType = "application/x-www-form-urlencoded" }, 415},
				apiCase{op.pattern + " with a huge body", op, func(c *call) { c.body = "\n" + strings.Repeat(" ", 70_000); c.options.MaxBody = 60_000 }, 413})
		}
	}
	return cases
}

// archivedClaim is the claim of the archived message in prepared.
var archivedClaim = archivedIdentity().Claim()

func archivedIdentity() hashheader.Identity {
	header := hashheader.Header{{Name: "Date", Value: "Mon, 23 Nov 2026 10:00:00 +0000"}}
	return hashheader.Identify(header, []byte(firstID), []string{"message-id", "date"})
}

// prepared is a registry in which three messages hold the hash: two of no
// fields that the tests send, the third archived.
func prepared(t *testing.T) registry.Registry {
	g := registry.New(memreg.New(), registry.Options{Now: now})
	ids := []hashheader.Identity{identity(1), identity(2), archivedIdentity()}
	for _, id := range ids {
		must(g.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: id}))
	}
	must(g.Confirm(t.Context(), registry.Confirmation{List: list, Token: hash + "-3", URL: "https://one.example/3", Subject: "<b>Bold & brash</b>"}))
	return g
}

// A hash without a claim finds all messages that hold it, one with a claim
// those that it is for, whatever token is before the claim.
func TestHashWithAClaim(t *testing.T) {
	token, tokens := everything(t)
	h := newHandler(t, httpapi.Options{Registry: reserved(t, list, 3), Tokens: tokens})
	for path, want := range map[string]string{
		hash:                                "1 2 3",
		hash + "=" + identity(2).Claim():    "2",
		hash + "-3=" + identity(2).String(): "2",
		strings.ToLower(hash) + "=" + strings.ToUpper(identity(1).Claim()): "1",
		hash + "=00000000": "",
	} {
		var answer struct {
			Reservations []struct{ Token, Identity string }
		}
		body := text(do(h, "GET", "/api/v1/hashes/"+list+"/"+path, "Authorization: Bearer "+token))
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatalf("%s: %v: %s", path, err, body)
		}
		var got []string
		for _, r := range answer.Reservations {
			for n := range 4 {
				if identity(n).String() == r.Identity {
					got = append(got, strconv.Itoa(n))
				}
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: messages %q, want %q", path, got, want)
		}
	}
}
