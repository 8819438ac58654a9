package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"permalink-milter/cmd/internal/version"
	"permalink-milter/registry"
)

// namespace is the prefix of the daemon's metrics.
const namespace = "permalink_milter"

// buckets are those of durations, in seconds: from a reservation in memory to
// the longest useful budget.
var buckets = []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 30}

// metrics are those of the daemon and its milter. They implement
// milter.Observer. The other services register theirs with the registry.
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
	evicts             prometheus.Gauge
}

// newMetrics returns the metrics of a daemon that has just read its
// configuration.
func newMetrics() *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	in := maker{promauto.With(r)}
	build := opts("build_info", "Always 1; the label is the version of the program.")
	build.ConstLabels = prometheus.Labels{"version": version.String()}
	in.NewGaugeFunc(prometheus.GaugeOpts(build), func() float64 { return 1 })
	m := &metrics{
		registry:           r,
		connections:        in.gauge("connections", "Open connections from MTAs."),
		messages:           in.counters("messages_total", "Messages, by result.", "result"),
		messageSeconds:     in.histogram("message_duration_seconds", "Time from the end of a message to its decision."),
		reservations:       in.counters("reservations_total", "Registry calls, by outcome.", "outcome"),
		reservationSeconds: in.histogram("reservation_duration_seconds", "Duration of registry calls."),
		collisions:         in.counter("collisions_total", "Messages that got a token with a suffix, such as HASH-2, because another message holds the bare hash."),
		refused:            in.counters("refused_total", "Connections and messages that were not served or had to wait, by reason.", "reason"),
		reloadSuccess:      in.gauge("config_last_reload_successful", "1 if the last reading of the configuration succeeded, else 0."),
		reloadTime:         in.gauge("config_last_reload_success_timestamp_seconds", "Time of the last successful reading of the configuration."),
		evicts:             in.gauge("registry_evicts", "1 if Redis now throws reservations away when its memory runs out, else 0."),
	}
	m.zero()
	m.reloaded(true)
	return m
}

// A maker makes metrics of the daemon and registers them.
type maker struct{ promauto.Factory }

func (in maker) gauge(name, help string) prometheus.Gauge {
	return in.NewGauge(prometheus.GaugeOpts(opts(name, help)))
}

func (in maker) counter(name, help string) prometheus.Counter {
	return in.NewCounter(prometheus.CounterOpts(opts(name, help)))
}

func (in maker) counters(name, help, label string) *prometheus.CounterVec {
	return in.NewCounterVec(prometheus.CounterOpts(opts(name, help)), []string{label})
}

func (in maker) histogram(name, help string) prometheus.Histogram {
	return in.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Name: name, Help: help, Buckets: buckets})
}

func opts(name, help string) prometheus.Opts {
	return prometheus.Opts{Namespace: namespace, Name: name, Help: help}
}

// zero creates the counters at 0 before the first event, so that rates can be
// computed from the start.
func (m *metrics) zero() {
	for _, result := range []string{"stamped", "unchanged", "unmarked", "tempfail"} {
		m.messages.WithLabelValues(result)
		m.messages.WithLabelValues("observed_" + result)
	}
	for outcome := registry.Fresh; outcome <= registry.Unreserved; outcome++ {
		m.reservations.WithLabelValues(outcome.String())
	}
	m.reservations.WithLabelValues("error")
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

// Refused implements milter.Observer.
func (m *metrics) Refused(reason string) { m.refused.WithLabelValues(reason).Inc() }

// reloaded records that the configuration was read.
func (m *metrics) reloaded(fine bool) {
	m.reloadSuccess.Set(0)
	if fine {
		m.reloadSuccess.Set(1)
		m.reloadTime.SetToCurrentTime()
	}
}
