package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
)

// problemPrefix stands before a kind's name in a problem's type.
const problemPrefix = "urn:permalink-milter:problem:"

// retryAfter is how many seconds a client is told to wait if it comes too often,
// or while the registry does not answer.
const retryAfter = "5"

// Errors of the HTTP side; the others are the registry's.
var (
	errNoToken  = errors.New("a token is needed")
	errScope    = errors.New("the token does not allow this")
	errTooMany  = errors.New("too many requests")
	errBusy     = errors.New("too many requests are in progress")
	errTooLarge = errors.New("the body is too large")
	errType     = errors.New("the body's media type is not accepted here")
	errNoRoute  = errors.New("there is nothing here")
	errNoLink   = errors.New("not a permalink of this server")
	errMethod   = errors.New("the method is not allowed here")
	errNoID     = errors.New("the message cannot be named")
)

// A kind is what an error looks like from outside: the name in the problem's
// type, the status, and what the client can do.
type kind struct {
	err    error
	name   string
	status int
	advice string
}

// kinds lists all errors that clients are told. ErrFull is a conflict like
// ErrOccupied: 507 would say that the server is short of room, and that
// another try may help. The order counts: the first one that errors.Is finds.
var kinds = []kind{
	{registry.ErrInvalid, "invalid", 400, "Correct it and send it again."},
	{errNoToken, "token-needed", 401, "Send a token of the server's tokens file: to the API in Authorization: Bearer TOKEN, to the status page as the password."},
	{errScope, "scope", 403, "Ask the server's operator to add this scope and list to the token."},
	{registry.ErrNotFound, "not-found", 404, "Reserve it first, or look its hash up: it may have another token or have expired."},
	{errNoRoute, "no-route", 404, "The document at /api/v1/openapi.json lists what there is."},
	{errNoLink, "no-permalink", 404, "Compare it with the link that you have, letter by letter; the reservation may have expired, or be on another list."},
	{errMethod, "method", 405, "The header field Allow lists those that are."},
	{registry.ErrOccupied, "occupied", 409, "Reserve the message: it gets a token of its own."},
	{registry.ErrArchived, "archived", 409, "It cannot be released; confirm it with another URL if the message has moved."},
	{registry.ErrFull, "full", 409, "Another try will not help: look at the messages that hold them, it may be a flood."},
	{errTooLarge, "too-large", 413, "Send less; of a message the header section is enough."},
	{errType, "media-type", 415, "Set the header field Content-Type to what the detail names."},
	{errNoID, "no-message-id", 422, "Send a whole message, its header section first, with a Message-ID, From or Date field."},
	{errTooMany, "too-many", 429, "Wait as long as Retry-After says, or use a token."},
	{errBusy, "busy", 503, "Wait as long as Retry-After says."},
	{registry.ErrCorrupt, "corrupt", 500, "The server's log names it; its operator must repair the registry. Other permalinks are not affected."},
	{registry.ErrUnavailable, "unavailable", 503, "Wait as long as Retry-After says and try again; every call may be repeated without harm."},
}

// A problem is the body of an answer that is an error (RFC 9457).
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// newProblem describes an error to a client. An error that is not of kinds is
// for the log alone.
func newProblem(err error) problem {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = registry.ErrUnavailable
	}
	for _, k := range kinds {
		if !errors.Is(err, k.err) {
			continue
		}
		text := err.Error()
		if k.status >= 500 {
			text = k.err.Error() // the rest may name files and hosts
		}
		detail := strings.ToUpper(text[:1]) + strings.ToValidUTF8(text[1:], "?") + ". " + k.advice
		return problem{problemPrefix + k.name, http.StatusText(k.status), k.status, detail}
	}
	return problem{"about:blank", http.StatusText(500), 500, "The server failed. Its log says why."}
}

// Err returns the error that a problem was made of. A server that may answer
// later counts as unavailable, whatever its reason.
func (p problem) Err() error {
	err := fmt.Errorf("HTTP %d: %s", p.Status, p.Detail)
	if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
		return unavailable(err)
	}
	for _, k := range kinds {
		if p.Type == problemPrefix+k.name {
			return told{err, k.err}
		}
	}
	return err
}

// A told is an error that a server reported. Its text names its kind already.
type told struct {
	error
	kind error
}

func (t told) Unwrap() error { return t.kind }

// invalid returns an error for a request that is wrong in itself.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w request: %s", registry.ErrInvalid, fmt.Sprintf(format, args...))
}

// fail answers with an error, as JSON or as a page. Where there is too much to
// do, it closes the connection.
func (x *exchange) fail(err error) {
	p := newProblem(err)
	flood := errors.Is(err, errBusy) || errors.Is(err, registry.ErrCrowded) // which must not flood the log
	if p.Status >= 500 && x.r.Context().Err() == nil && !flood {
		x.o.Log.Warn("http request failed", "method", x.r.Method, "path", x.r.URL.Path, "error", err)
	}
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		x.Header().Set("WWW-Authenticate", challenge(x.r, err))
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		x.Header().Set("Retry-After", retryAfter)
		x.Header().Set("Connection", "close")
		_ = http.NewResponseController(x).SetReadDeadline(time.Now().Add(refusedReadTimeout)) // a test's writer has none
	}
	if !wantsJSON(x.r) {
		x.render(p.Status, page.Problem{Title: p.Title, Detail: p.Detail, Status: p.Status})
		return
	}
	writeJSON(x, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, contentType string, status int, body any) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetEscapeHTML(true)
	e.SetIndent("", "  ")
	_ = e.Encode(body) // the client is gone, or it gets what it asked for
}
