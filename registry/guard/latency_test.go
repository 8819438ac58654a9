package guard

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"permalink-milter/registry"
)

// arrivals of 1000 messages: waves, a pause between two of them.
var arrivals = map[string]struct {
	waves, each int
	pause       time.Duration
}{
	"one by one":  {1000, 1, 10 * time.Millisecond},
	"100 at once": {10, 100, time.Second},
}

var outages = map[string]fault{
	"dead":       {dead: true},
	"black hole": blackHole,
	"slow":       {delay: 2 * budget},
	"works":      {},
}

// Time in the bubble stands still but for waiting, so what is measured is
// what the guard makes a message wait, to the nanosecond.
func TestOutageDelaysTheFirstMessagesOnly(t *testing.T) {
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-11s %-12s %6s %6s %8s %8s %8s\n", "registry", "messages", "calls", "waited", "p50", "p99", "max")
	for _, name := range []string{"works", "dead", "black hole", "slow"} {
		for _, arrival := range []string{"one by one", "100 at once"} {
			outage(t, func(t *testing.T, r *rig) {
				r.inner.set(outages[name])
				a := arrivals[arrival]
				begin := time.Now()
				first, later := waves(t, r, a.waves, a.each, a.pause)
				all := slices.Sorted(slices.Values(slices.Concat(first, later)))
				fmt.Fprintf(&table, "%-11s %-12s %6d %6d %8v %8v %8v\n", name, arrival, r.inner.callCount(), waited(all),
					all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
				if all[len(all)-1] > budget {
					t.Errorf("%s, %s: a message waited %v", name, arrival, all[len(all)-1])
				}
				// Before the breaker opens all that come at once may wait; of
				// those that come one by one only as many as open it.
				if n := waited(all); n > max(DefaultFailures, a.each) {
					t.Errorf("%s, %s: %d messages waited", name, arrival, n)
				}
				tries := int(time.Since(begin)/retry) + 1
				if n := r.inner.callCount(); name != "works" && n > max(DefaultFailures, a.each)+tries {
					t.Errorf("%s, %s: %d calls reached the registry", name, arrival, n)
				}
				if n := waited(later[DefaultFailures:]); n > 0 {
					t.Errorf("%s, %s: %d messages waited after the breaker had to be open", name, arrival, n)
				}
			})
		}
	}
	t.Log(table.String())
}

// waves lets messages arrive and returns how long those of the first wave,
// and those of the later ones, waited for the guard.
func waves(t *testing.T, r *rig, waves, each int, pause time.Duration) (first, later []time.Duration) {
	for wave := range waves {
		took := make([]time.Duration, each)
		var all sync.WaitGroup
		for i := range each {
			one := func() {
				begin := time.Now()
				if _, err := r.Reserve(context.Background(), request(wave*each+i, 1)); err != nil {
					t.Error(err)
				}
				took[i] = time.Since(begin)
			}
			if each == 1 {
				one()
			} else {
				all.Go(one)
			}
		}
		all.Wait()
		if wave == 0 {
			first = took
		} else {
			later = append(later, took...)
		}
		time.Sleep(pause)
	}
	return first, later
}

func waited(sorted []time.Duration) (n int) {
	for _, d := range sorted {
		if d > 0 {
			n++
		}
	}
	return n
}

// BenchmarkReserve measures what the guard adds, the journal's fsync among
// it, in real time.
func BenchmarkReserve(b *testing.B) {
	for _, name := range []string{"works", "dead", "black hole", "slow"} {
		b.Run(name, func(b *testing.B) {
			r := newRig(b, newFaulty(), b.TempDir())
			defer r.Close()
			r.inner.set(outages[name])
			var mu sync.Mutex
			var took []time.Duration
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				var own []time.Duration
				for pb.Next() {
					begin := time.Now()
					if _, err := r.Reserve(b.Context(), registry.Request{List: list, Hash: hash(len(own)), Identity: identity(1)}); err != nil {
						b.Error(err)
					}
					own = append(own, time.Since(begin))
				}
				mu.Lock()
				defer mu.Unlock()
				took = append(took, own...)
			})
			slices.Sort(took)
			for unit, share := range map[string]float64{"p50-µs": 0.5, "p99-µs": 0.99, "max-µs": 1} {
				b.ReportMetric(float64(took[int(share*float64(len(took)-1))].Microseconds()), unit)
			}
		})
	}
}
