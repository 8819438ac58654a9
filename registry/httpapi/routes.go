package httpapi

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// A route is one operation. Handle returns what is to become a problem.
type route struct {
	pattern string
	scope   Scope // "" for what is public
	handle  func(w http.ResponseWriter, r *http.Request) error
}

// api lists the operations under /api/v1; openapi.json describes the same.
func (h *Handler) api() []route {
	return []route{
		{"POST /api/v1/reservations", ScopeReserve, h.reserve},
		{"GET /api/v1/reservations", ScopeRead, h.list},
		{"GET /api/v1/reservations/{list}/{token}", ScopeRead, h.lookup},
		{"PUT /api/v1/reservations/{list}/{token}/archived", ScopeConfirm, h.confirm},
		{"DELETE /api/v1/reservations/{list}/{token}", ScopeRelease, h.release},
		{"GET /api/v1/hashes/{list}/{hash}", ScopeRead, h.lookupHash},
		{"GET /api/v1/stats", ScopeRead, h.stats},
		{"POST /api/v1/messages", "", h.message},
		{"GET /api/v1/openapi.json", "", h.openAPI},
	}
}

// pages lists what people see. A list's address holds an @, so that none of
// these names is a list.
func (h *Handler) pages() []route {
	return []route{
		{"GET /{$}", "", h.home},
		{"POST /check", "", h.check},
		{"GET /search", "", h.search},
		{"GET /status", "", h.status},
		{"GET /static/{file}", "", h.static},
		{"GET /{list}/{token}", "", h.resolve},
	}
}

func (h *Handler) routes() *http.ServeMux {
	mux := http.NewServeMux()
	for _, rt := range append(h.api(), h.pages()...) {
		mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			var err error
			if rt.scope != "" {
				err = h.authenticate(r)
			}
			if err == nil {
				err = rt.handle(w, r)
			}
			if err != nil {
				h.fail(w, r, err)
			}
		})
	}
	return mux
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	answer := &response{ResponseWriter: w}
	_, pattern := h.mux.Handler(r)
	h.serve(answer, r, pattern)
	if h.o.Observe != nil {
		h.o.Observe(pattern, answer.status, time.Since(began))
	}
}

func (h *Handler) serve(w *response, r *http.Request, pattern string) {
	secure(w.Header())
	select {
	case h.busy <- struct{}{}:
		defer func() { <-h.busy }()
	default:
		h.fail(w, r, errBusy)
		return
	}
	if err := h.admit(r); err != nil {
		h.fail(w, r, err)
		return
	}
	if pattern == "" {
		h.unrouted(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

// unrouted answers what has no route: the mux finds out why, and its plain
// text becomes a problem.
func (h *Handler) unrouted(w http.ResponseWriter, r *http.Request) {
	probe := &response{ResponseWriter: discard{http.Header{}}}
	h.mux.ServeHTTP(probe, r)
	switch location := probe.Header().Get("Location"); {
	case location != "": // to the path without its empty and dot segments
		http.Redirect(w, r, location, probe.status)
	case probe.status == http.StatusMethodNotAllowed:
		w.Header().Set("Allow", probe.Header().Get("Allow"))
		h.fail(w, r, errMethod)
	case probe.status == http.StatusBadRequest:
		h.fail(w, r, invalid("the request's target is no path"))
	default:
		h.fail(w, r, errNoRoute)
	}
}

// budget bounds what a request may ask of the registry.
func (h *Handler) budget(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), h.o.Timeout)
}

// A response remembers the status of an answer.
type response struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *response) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *response) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// discard is a response that nobody gets.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d discard) WriteHeader(int)             {}

// secure sets the fields that each answer carries. The policy lets pages load
// nothing but our own style and script, and be framed by nobody.
func secure(header http.Header) {
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "+
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
	header.Set("Cache-Control", "no-store")
}

// wantsJSON tells if an answer that comes as a page or as JSON is to be JSON:
// under /api always, else where Accept names JSON and not HTML.
func wantsJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	json := strings.Contains(accept, "/json") || strings.Contains(accept, "+json")
	return strings.HasPrefix(r.URL.Path, "/api/") || json && !strings.Contains(accept, "text/html")
}
