package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// breakerStates are the names that the guard gives to the states of its circuit
// breaker.
var breakerStates = []string{"closed", "half-open", "open"}

// guardMetrics are the metrics of the guard. They implement guard.Observer.
type guardMetrics struct {
	journalled    prometheus.Counter
	journalFailed prometheus.Counter
	replayed      *prometheus.CounterVec
	records       prometheus.Gauge
	bytes         prometheus.Gauge
	breaker       *prometheus.GaugeVec
}

func newGuardMetrics(r prometheus.Registerer) *guardMetrics {
	in := maker{promauto.With(r)}
	m := &guardMetrics{
		journalled:    in.counter("journalled_total", "Reservations written to the journal because the registry did not answer."),
		journalFailed: in.counter("journal_failures_total", "Reservations lost because the journal or its disk was full."),
		replayed:      in.counters("replayed_total", "Reservations replayed from the journal to the registry, by result: the same token, or a conflict.", "result"),
		records:       in.gauge("journal_records", "Reservations in the journal that wait for the registry."),
		bytes:         in.gauge("journal_bytes", "Size of the journal on disk."),
		breaker: in.NewGaugeVec(prometheus.GaugeOpts(opts("breaker_state",
			"1 for the current state of the circuit breaker in front of the registry: closed, half-open or open.")), []string{"state"}),
	}
	for _, result := range []string{"same", "conflict"} {
		m.replayed.WithLabelValues(result)
	}
	return m
}

// Journalled implements guard.Observer.
func (m *guardMetrics) Journalled() { m.journalled.Inc() }

// JournalFailed implements guard.Observer.
func (m *guardMetrics) JournalFailed() { m.journalFailed.Inc() }

// Replayed implements guard.Observer.
func (m *guardMetrics) Replayed(conflict bool) {
	result := "same"
	if conflict {
		result = "conflict"
	}
	m.replayed.WithLabelValues(result).Inc()
}

// Journal implements guard.Observer.
func (m *guardMetrics) Journal(records int, bytes int64) {
	m.records.Set(float64(records))
	m.bytes.Set(float64(bytes))
}

// Breaker implements guard.Observer.
func (m *guardMetrics) Breaker(state string) {
	for _, s := range breakerStates {
		m.breaker.WithLabelValues(s).Set(0)
	}
	m.breaker.WithLabelValues(state).Set(1)
}
