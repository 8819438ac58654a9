package httpapi

import (
	"context"
	"io"
	"maps"
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
	scope  Scope   // that its route needs
	status int     // of the answer
}

func (h *Handler) begin(w http.ResponseWriter, r *http.Request) *exchange {
	return &exchange{Handler: h, ResponseWriter: w, r: r, client: h.clientOf(r), policy: h.policy.Load(), grants: h.grantsOf(r)}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := time.Now()
	x := h.begin(w, r)
	g := &router{x: x, header: make(http.Header)}
	h.mux.ServeHTTP(g, r)
	if g.pattern == "" {
		x.serve(1, g.unrouted)
	}
	if h.o.Observe != nil {
		h.o.Observe(g.pattern, x.status, time.Since(began))
	}
}

// serve answers a request that costs as much as a number of plain ones.
func (x *exchange) serve(cost int, answer func() error) {
	maps.Copy(x.Header(), security)
	leave, err := x.enter(cost)
	if err == nil {
		defer leave()
		err = answer()
	}
	if err != nil {
		x.fail(err)
	}
}

// run answers by a route.
func (x *exchange) run(rt route) error {
	if x.scope = rt.scope; x.scope != "" {
		if err := x.authenticate(); err != nil {
			return err
		}
	}
	return rt.handle(x)
}

// isStranger reports whether the request came without a token that is known.
func (x *exchange) isStranger() bool { return len(x.grants) == 0 }

// budget bounds what a request may ask of the registry.
func (x *exchange) budget() (context.Context, context.CancelFunc) {
	return context.WithTimeout(x.r.Context(), x.o.Timeout)
}

// body returns the request's body, of which at most max bytes are read. It has
// the server's own writer, by which a longer one ends the connection.
func (x *exchange) body(max int64) io.ReadCloser {
	return http.MaxBytesReader(x.ResponseWriter, x.r.Body, max)
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
