package httpapi

import (
	"net/http"

	"permalink-milter/registry/httpapi/page"
)

// stats answers GET /api/v1/stats.
func (x *exchange) stats() error {
	if err := x.allow(""); err != nil {
		return err
	}
	s, at, err := x.counts.get(x.r.Context(), x.o.Now)
	if err != nil {
		return err
	}
	writeJSON(x, "application/json", http.StatusOK, statsBody{s.Lists, s.Hashes, s.Reserved, s.Archived, s.Collisions, s.Unreadable, at})
	return nil
}

// statusPage answers GET /status. It needs a token: how much mail there is does
// not concern everyone.
func (x *exchange) statusPage() error {
	if err := x.allow(""); err != nil {
		return err
	}
	s, at, err := x.counts.get(x.r.Context(), x.o.Now)
	if err != nil {
		return err
	}
	v := page.Status{Stats: s, At: at}
	if x.o.Counters != nil {
		v.Counters = x.o.Counters()
	}
	x.render(http.StatusOK, v)
	return nil
}
