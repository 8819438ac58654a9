package httpapi

import (
	_ "embed"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// A route is one operation. Handle returns the error to answer with.
type route struct {
	pattern string
	scope   Scope // that a token needs; "" for what is public
	cost    int   // in requests, for the rate of strangers; 0 for one
	handle  func(*exchange) error
}

// The costs of what makes the registry or the processor work.
const (
	messageCost = 5
	searchCost  = 5
)

// api lists the operations under /api/v1; openapi.json describes the same.
var api = []route{
	{"POST /api/v1/reservations", ScopeReserve, 0, (*exchange).reserve},
	{"GET /api/v1/reservations", ScopeRead, 0, (*exchange).list},
	{"GET /api/v1/reservations/{list}/{token}", ScopeRead, 0, (*exchange).lookup},
	{"PUT /api/v1/reservations/{list}/{token}/archived", ScopeConfirm, 0, (*exchange).confirm},
	{"DELETE /api/v1/reservations/{list}/{token}", ScopeRelease, 0, (*exchange).release},
	{"GET /api/v1/hashes/{list}/{hash}", ScopeRead, 0, (*exchange).lookupHash},
	{"GET /api/v1/stats", ScopeRead, 0, (*exchange).stats},
	{"POST /api/v1/messages", "", messageCost, (*exchange).message},
	{"GET /api/v1/openapi.json", "", 0, (*exchange).openAPI},
}

// pages lists what people see. None of these names is a list: the address of
// one holds an @.
var pages = []route{
	{"GET /{$}", "", 0, (*exchange).home},
	{"POST /check", "", messageCost, (*exchange).check},
	{"GET /search", "", searchCost, (*exchange).search},
	{"GET /status", ScopeRead, 0, (*exchange).statusPage},
	{"GET /static/{file}", "", 0, (*exchange).static},
	{resolverRoute, "", 0, (*exchange).resolve},
}

const resolverRoute = "GET /{list}/{token}"

// addRoutes makes the mux. Its writer is always a router, which lets a route
// begin the exchange and keeps what the mux itself answers.
func (h *Handler) addRoutes() {
	h.mux = http.NewServeMux()
	all := slices.Concat(api, pages)
	if h.o.Store != nil {
		all = append(all, control...)
	}
	for _, rt := range all {
		h.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			w.(*router).found(rt, r)
		})
	}
}

// A router passes a request on to its route. Where there is none, it holds the
// mux's own answer, whose plain text nobody sees.
type router struct {
	x       *exchange
	pattern string      // of the route; "" for none
	header  http.Header // of the mux's own answer
	status  int         // of the mux's own answer
}

func (g *router) found(rt route, r *http.Request) {
	g.pattern, g.x.r = rt.pattern, r // whose path the mux has taken apart
	g.x.serve(max(rt.cost, 1), func() error { return g.x.run(rt) })
}

// Header implements http.ResponseWriter for the mux's own answer, as Write and
// WriteHeader do.
func (g *router) Header() http.Header         { return g.header }
func (g *router) Write(p []byte) (int, error) { return len(p), nil }
func (g *router) WriteHeader(status int)      { g.status = status }

// unrouted answers a request that has no route. It may be for a permalink of an
// archive's template; else the mux's answer says why there is none.
func (g *router) unrouted() error {
	x := g.x
	if list, _ := x.asked(); list != "" && (x.r.Method == http.MethodGet || x.r.Method == http.MethodHead) {
		return x.resolve()
	}
	switch {
	case g.header.Get("Location") != "":
		http.Redirect(x, x.r, cleaned(x.r.URL), g.status)
		return nil
	case g.status == http.StatusMethodNotAllowed:
		x.Header().Set("Allow", g.header.Get("Allow"))
		return errMethod
	case g.status == http.StatusBadRequest:
		return invalid("the request's target is not a path")
	}
	return errNoRoute
}

// cleaned returns a target without its empty and dot segments, which is where the
// mux redirects to. Its own Location escapes the path a second time.
func cleaned(u *url.URL) string {
	escaped := u.EscapedPath()
	target := path.Clean("/" + escaped)
	if strings.HasSuffix(escaped, "/") && target != "/" {
		target += "/"
	}
	if u.RawQuery != "" {
		target += "?" + u.RawQuery
	}
	return target
}

// security is the fields that every answer carries. The policy lets pages load
// only our own style and script, and no site frame them.
var security = http.Header{
	"Content-Security-Policy": {"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; " +
		"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"},
	"X-Content-Type-Options":       {"nosniff"},
	"Referrer-Policy":              {"no-referrer"},
	"Cross-Origin-Opener-Policy":   {"same-origin"},
	"Cross-Origin-Resource-Policy": {"same-origin"},
	"Permissions-Policy":           {"camera=(), microphone=(), geolocation=()"},
	"Cache-Control":                {"no-store"},
}

// wantsJSON reports whether an answer that comes as a page or as JSON is to be
// JSON: under /api always, else where Accept names JSON and not HTML.
func wantsJSON(r *http.Request) bool {
	accept := strings.Join(r.Header.Values("Accept"), ",")
	json := strings.Contains(accept, "/json") || strings.Contains(accept, "+json")
	return strings.HasPrefix(r.URL.Path, "/api/") || json && !strings.Contains(accept, "text/html")
}

//go:embed openapi.json
var openAPI []byte

// openAPI answers GET /api/v1/openapi.json.
func (x *exchange) openAPI() error {
	x.Header().Set("Content-Type", "application/json")
	_, _ = x.Write(openAPI)
	return nil
}
