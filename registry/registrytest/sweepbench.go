package registrytest

import (
	"context"
	"slices"
	"testing"
	"time"

	"permalink-milter/registry"
)

// SweepBench measures what mail feels of a sweep: b.N reservations, one after
// another, with and without a sweep beside them at a rate. It reports the ratio
// of their medians and of their 99th percentiles, and what the sweep removed a
// second.
func SweepBench(b *testing.B, store registry.Store, rate int) {
	expired := time.Now().Add(-time.Hour)
	old := registry.New(store, registry.Options{TTL: time.Minute, Now: func() time.Time { return expired }})
	each(b, 20000, func(n int) error { return reserveNumber(b.Context(), old, "old@lists.example.org", n) })
	reg := registry.New(store, registry.Options{TTL: time.Hour})
	measure := func(list string) []time.Duration {
		took := make([]time.Duration, b.N)
		for n := range took {
			begin := time.Now()
			if err := reserveNumber(b.Context(), reg, list, n); err != nil {
				b.Fatal(err)
			}
			took[n] = time.Since(begin)
		}
		slices.Sort(took)
		return took
	}
	b.ResetTimer()
	alone := measure("alone@lists.example.org")
	ctx, stop := context.WithCancel(b.Context())
	begin, done := time.Now(), make(chan registry.Swept)
	go func() {
		swept, _ := registry.Sweep{Expired: time.Now(), Rate: rate}.Run(ctx, store)
		done <- swept
	}()
	beside := measure("beside@lists.example.org")
	stop()
	swept := <-done
	b.ReportMetric(float64(swept.Removed)/time.Since(begin).Seconds(), "removed/s")
	for name, at := range map[string]int{"p50": b.N / 2, "p99": b.N * 99 / 100} {
		b.ReportMetric(float64(beside[at])/float64(alone[at]), name+"-ratio")
		b.ReportMetric(float64(alone[at].Microseconds()), name+"-µs-alone")
		b.ReportMetric(float64(beside[at].Microseconds()), name+"-µs-beside")
	}
}
