package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"permalink-milter/config"
	"permalink-milter/hashheader/golden"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

// get returns the status and the body of a response.
func get(t *testing.T, url string) (code int, body string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestMetricsFollowWhatHappens(t *testing.T) {
	admin := "127.0.0.1:" + freePort(t)
	text := "admin.listen = \"" + admin + "\"\n" + archive("one.example")
	p := start(t, text)
	check := func(want ...string) {
		t.Helper()
		_, body := get(t, "http://"+admin+"/metrics")
		for _, line := range want {
			if !strings.Contains(body, line+"\n") {
				t.Errorf("no %q in:\n%s", line, body)
			}
		}
	}
	m := connect(t, "unix", p.socket())
	m.begin(messageID, listID).end()
	m.begin(messageID, listID).end()
	check("permalink_milter_connections 1", `permalink_milter_messages_total{result="stamped"} 2`,
		`permalink_milter_reservations_total{outcome="reserved"} 1`, `permalink_milter_reservations_total{outcome="held"} 1`,
		"permalink_milter_message_duration_seconds_count 2", "permalink_milter_config_last_reload_successful 1")
	m.begin(messageID, listID, "Date: Tue, 24 Nov 2026 11:00:00 +0000").end() // another message by the same Message-ID
	check("permalink_milter_collisions_total 1", `permalink_milter_breaker_state{state="closed"} 1`, "permalink_milter_journal_records 0")
	p.configure(t, "x = 1\n")
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "not reloaded")
	check("permalink_milter_config_last_reload_successful 0")
	p.configure(t, text)
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "configuration reloaded")
	check("permalink_milter_config_last_reload_successful 1")
	if code, _ := get(t, "http://"+admin+"/readyz"); code != http.StatusOK {
		t.Errorf("readyz: %d", code)
	}
	p.stop(t)
}

// silent is a store that does not answer.
type silent struct{ registry.Store }

func (silent) Get(ctx context.Context, _ registry.Key) (registry.Entry, error) {
	<-ctx.Done()
	return registry.Entry{}, errors.Join(registry.ErrUnavailable, ctx.Err())
}

func TestReadiness(t *testing.T) {
	answering, dead := memreg.New(), silent{memreg.New()}
	for _, test := range []struct {
		name  string
		store registry.Store
		ready bool
		code  int
	}{
		{"serving", answering, true, http.StatusOK},
		{"starting or stopping", answering, false, http.StatusServiceUnavailable},
		{"the registry does not answer", dead, true, http.StatusServiceUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := config.Default()
			c.Registry.Timeout = config.Duration(10 * time.Millisecond)
			d := &daemon{config: c, metrics: newMetrics(), registry: registry.New(test.store, registry.Options{}), log: slog.New(slog.DiscardHandler)}
			d.ready.Store(test.ready)
			for path, code := range map[string]int{"/readyz": test.code, "/healthz": http.StatusOK, "/metrics": http.StatusOK, "/": http.StatusNotFound} {
				w := httptest.NewRecorder()
				d.adminHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
				if w.Code != code {
					t.Errorf("%s: %d %s", path, w.Code, w.Body)
				}
			}
		})
	}
}

func TestMetricsOfTheGuard(t *testing.T) {
	m := newMetrics()
	g := newGuardMetrics(m.registry)
	g.Journalled()
	g.JournalFailed()
	g.Replayed(false)
	g.Replayed(true)
	g.Replayed(true)
	g.Journal(3, 99)
	g.Breaker("closed")
	g.Breaker("open")
	d := &daemon{metrics: m, log: slog.New(slog.DiscardHandler)}
	w := httptest.NewRecorder()
	d.adminHandler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{"journalled_total 1", "journal_failures_total 1", `replayed_total{result="same"} 1`, `replayed_total{result="conflict"} 2`,
		"journal_records 3", "journal_bytes 99", `breaker_state{state="closed"} 0`, `breaker_state{state="open"} 1`} {
		if !strings.Contains(w.Body.String(), namespace+"_"+line+"\n") {
			t.Errorf("no %q in:\n%s", line, w.Body)
		}
	}
}

// Dashboards and alerts name the metrics, so a change of the golden file breaks
// them.
func TestMetricNames(t *testing.T) {
	m := newMetrics()
	m.Message("stamped", time.Second)
	m.Reservation("reserved", time.Second)
	m.Refused("header_limit")
	newGuardMetrics(m.registry).Breaker("open")
	newSweptCounter(m.registry)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, namespace) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	var b strings.Builder
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), namespace) {
			var labels []string
			for _, l := range f.GetMetric()[0].GetLabel() {
				labels = append(labels, l.GetName())
			}
			fmt.Fprintf(&b, "%s{%s} %s\n\t%s\n", f.GetName(), strings.Join(labels, ","), strings.ToLower(f.GetType().String()), f.GetHelp())
		}
	}
	golden.Equal(t, "testdata/metrics.golden", b.String())
}
