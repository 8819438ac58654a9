package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"permalink-milter/registry/httpapi"
)

// observeHTTP registers the metrics of the HTTP service and returns the function
// that updates them.
func (m *metrics) observeHTTP() func(route string, status int, took time.Duration) {
	seconds := promauto.With(m.registry).NewHistogramVec(prometheus.HistogramOpts{Namespace: namespace, Name: "http_request_duration_seconds",
		Help: "Duration of requests to the API, the resolver and the page, by route and status.", Buckets: buckets}, []string{"route", "code"})
	return func(route string, status int, took time.Duration) {
		if route == "" {
			route = "none"
		}
		seconds.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
	}
}

// counters returns the daemon's own counters and gauges for the status page.
func (m *metrics) counters() (out []httpapi.Counter) {
	families, err := m.registry.Gather()
	if err != nil {
		return nil
	}
	for _, f := range families {
		name, ours := strings.CutPrefix(f.GetName(), namespace+"_")
		if !ours {
			continue
		}
		for _, metric := range f.GetMetric() {
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			if metric.GetCounter() == nil && metric.GetGauge() == nil {
				continue
			}
			label := name
			for _, l := range metric.GetLabel() {
				label += " " + l.GetValue()
			}
			out = append(out, httpapi.Counter{Name: strings.ReplaceAll(label, "_", " "), Value: int64(value)})
		}
	}
	return out
}
