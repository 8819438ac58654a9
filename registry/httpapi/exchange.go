package httpapi

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"permalink-milter/registry/stamp"
)

// An exchange is one request and its answer. It takes the policy and the
// rights of its token once, when it begins: a reload counts for the requests
// that begin later.
type exchange struct {
	*Handler
	http.ResponseWriter
	r      *http.Request
	client netip.Addr // that the request counts for
	policy *stamp.Policy
	grants []grant // what its token allows; none for a stranger
	status int     // of the answer
}

func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{Handler: h, ResponseWriter: w, r: r, client: h.clientOf(r), policy: h.policy.Load(), grants: h.grantsOf(r)}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	x := h.begin(w, r)
	_, pattern := h.mux.Handler(r)
	x.serve(pattern)
	if h.o.Observe != nil {
		h.o.Observe(pattern, x.status, time.Since(began))
	}
}

func (x *exchange) serve(pattern string) {
	secure(x.Header())
	leave, err := x.enter(max(x.costs[pattern], 1))
	if err != nil {
		x.fail(err)
		return
	}
	defer leave()
	if pattern == "" {
		x.unrouted()
		return
	}
	x.mux.ServeHTTP(x, x.r)
}

// run answers by a route. The mux has set the values of the request's path.
func (x *exchange) run(rt route, r *http.Request) {
	x.r = r
	var err error
	if rt.scope != "" {
		err = x.authenticate()
	}
	if err == nil {
		err = rt.handle(x)
	}
	if err != nil {
		x.fail(err)
	}
}

// isStranger reports whether the request came without a token that is known.
func (x *exchange) isStranger() bool { return len(x.grants) == 0 }

// budget bounds what a request may ask of the registry.
func (x *exchange) budget() (context.Context, context.CancelFunc) {
	return context.WithTimeout(x.r.Context(), x.o.Timeout)
}

// WriteHeader implements http.ResponseWriter.
func (x *exchange) WriteHeader(status int) {
	if x.status == 0 {
		x.status = status
	}
	x.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (x *exchange) Write(p []byte) (int, error) {
	if x.status == 0 {
		x.status = http.StatusOK
	}
	return x.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (x *exchange) Unwrap() http.ResponseWriter { return x.ResponseWriter }
