package httpapi

import (
	_ "embed"
	"io"
	"net/http"
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

func (h *Handler) addRoutes() {
	h.mux, h.costs = http.NewServeMux(), make(map[string]int)
	all := slices.Concat(api, pages)
	if h.o.Store != nil {
		all = append(all, control...)
	}
	for _, rt := range all {
		h.costs[rt.pattern] = rt.cost
		h.mux.HandleFunc(rt.pattern, func(w http.ResponseWriter, r *http.Request) {
			w.(*exchange).run(rt, r) // the writer that serve gave to the mux
		})
	}
}

// unrouted answers a request that has no route. It may be for a permalink of an
// archive's template; else the mux finds out why there is none, and its plain
// text becomes a problem.
func (x *exchange) unrouted() {
	if list, _ := x.asked(); list != "" && (x.r.Method == http.MethodGet || x.r.Method == http.MethodHead) {
		if err := x.resolve(); err != nil {
			x.fail(err)
		}
		return
	}
	probe := &exchange{ResponseWriter: discard{http.Header{}}}
	x.mux.ServeHTTP(probe, x.r)
	switch location := probe.Header().Get("Location"); {
	case location != "": // to the path without its empty and dot segments
		http.Redirect(x, x.r, location, probe.status)
	case probe.status == http.StatusMethodNotAllowed:
		x.Header().Set("Allow", probe.Header().Get("Allow"))
		x.fail(errMethod)
	case probe.status == http.StatusBadRequest:
		x.fail(invalid("the request's target is not a path"))
	default:
		x.fail(errNoRoute)
	}
}

// discard is an http.ResponseWriter that keeps the header alone.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return io.Discard.Write(p) }
func (d discard) WriteHeader(int)             {}

// secure sets the fields that every answer carries. The policy lets pages load
// only our own style and script, and no site frame them.
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
