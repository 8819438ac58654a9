package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"permalink-milter/cmd/internal/version"
	"permalink-milter/registry"
)

// namespace begins the names of our metrics.
const namespace = "permalink_milter"

// buckets of durations, in seconds: from a reservation in memory to the
// longest budget that makes sense.
var buckets = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 30}

// reserveFunc is registry.Registry's Reserve.
type reserveFunc = func(context.Context, registry.Request) (registry.Result, error)

// metrics are the daemon's own; they implement milter.Observer. A service
// registers its further ones with the registry.
type metrics struct {
	registry *prometheus.Registry

	connections        prometheus.Gauge
	messages           *prometheus.CounterVec
	messageSeconds     prometheus.Histogram
	reservations       *prometheus.CounterVec
	reservationSeconds prometheus.Histogram
	collisions         prometheus.Counter
	refused            *prometheus.CounterVec
	reloadSuccess      prometheus.Gauge
	reloadTime         prometheus.Gauge
}

// newMetrics returns the metrics of a daemon that has just read its
// configuration.
func newMetrics() *metrics {
	m := &metrics{
		registry:           prometheus.NewRegistry(),
		connections:        prometheus.NewGauge(prometheus.GaugeOpts(opts("connections", "MTA connections that are open."))),
		messages:           counter("messages_total", "Messages by what became of them.", "result"),
		messageSeconds:     histogram("message_duration_seconds", "Time from a message's end to the decision about it."),
		reservations:       counter("reservations_total", "Calls of the registry by their outcome.", "outcome"),
		reservationSeconds: histogram("reservation_duration_seconds", "Time that a call of the registry took."),
		collisions: prometheus.NewCounter(prometheus.CounterOpts(opts("collisions_total",
			"Messages that got a suffixed token, as HASH-2, for another message held the bare hash."))),
		refused: counter("refused_total", "Connections and messages that were not served, by the reason.", "reason"),
		reloadSuccess: prometheus.NewGauge(prometheus.GaugeOpts(opts("config_last_reload_successful",
			"Whether the configuration was read without error the last time."))),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts(opts("config_last_reload_success_timestamp_seconds",
			"When the configuration was last read without error."))),
	}
	build := opts("build_info", "1, with the version of the program.")
	build.ConstLabels = prometheus.Labels{"version": version.String()}
	m.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts(build), func() float64 { return 1 }),
		m.connections, m.messages, m.messageSeconds, m.reservations, m.reservationSeconds, m.collisions, m.refused, m.reloadSuccess, m.reloadTime)
	m.zero()
	m.reloaded(true)
	return m
}

// zero makes the counters stand at 0 before the first event, so that rates
// can be told from the start.
func (m *metrics) zero() {
	for _, result := range []string{"stamped", "unchanged", "unmarked", "tempfail"} {
		m.messages.WithLabelValues(result)
	}
	for outcome := registry.Fresh; outcome <= registry.Unreserved; outcome++ {
		m.reservations.WithLabelValues(outcome.String())
	}
	m.reservations.WithLabelValues("error")
}

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: namespace, Name: name, Help: help}
}

func counter(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
}

func histogram(name, help string) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
}

// Connection implements milter.Observer.
func (m *metrics) Connection(delta int) { m.connections.Add(float64(delta)) }

// Message implements milter.Observer.
func (m *metrics) Message(result string, took time.Duration) {
	m.messages.WithLabelValues(result).Inc()
	m.messageSeconds.Observe(took.Seconds())
}

// Reservation implements milter.Observer.
func (m *metrics) Reservation(outcome string, took time.Duration) {
	m.reservations.WithLabelValues(outcome).Inc()
	m.reservationSeconds.Observe(took.Seconds())
}

// countCollisions counts the new reservations with a suffix.
func (m *metrics) countCollisions(reserve reserveFunc) reserveFunc {
	return func(ctx context.Context, r registry.Request) (registry.Result, error) {
		result, err := reserve(ctx, r)
		if err == nil && result.Outcome == registry.Fresh && result.Ordinal > 1 {
			m.collisions.Inc()
		}
		return result, err
	}
}

// Refused implements milter.Observer.
func (m *metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// reloaded notes that the configuration was read.
func (m *metrics) reloaded(fine bool) {
	m.reloadSuccess.Set(0)
	if fine {
		m.reloadSuccess.Set(1)
		m.reloadTime.SetToCurrentTime()
	}
}
