package httpapi

import (
	"net/http"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/httpapi/page"
)

// maxKeepCounts bounds how long counts are reused.
const maxKeepCounts = time.Minute

func keepCounts(took time.Duration) time.Duration { return min(keepLists(took), maxKeepCounts) }

// count returns the counts of the registry, and when they were taken. It needs
// a token for all lists: how much mail there is does not concern everyone.
func (x *exchange) count() (s registry.Stats, at time.Time, err error) {
	if err := x.allow(""); err != nil {
		return s, at, err
	}
	return x.counts.get(x.r.Context())
}

// stats answers GET /api/v1/stats.
func (x *exchange) stats() error {
	s, at, err := x.count()
	if err != nil {
		return err
	}
	writeJSON(x, "application/json", http.StatusOK, statsBody{statsJSON(s), at})
	return nil
}

// statusPage answers GET /status.
func (x *exchange) statusPage() error {
	s, at, err := x.count()
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
