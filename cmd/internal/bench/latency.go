package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// latency measures how long filters take from the end of a message to their
// answer. The rounds of each filter are pooled.
func (b *bench) latency() table {
	t := table{title: "Latency at the end of a message, µs",
		head: []string{"sessions", "filter", "p50", "p99", "p99.9", "p99 beside the null filter's", "messages a second"}}
	filters := []filter{b.null(), b.libmilter(), b.hashOnly(), b.daemon("permalink-milter, bolt", "bolt:r.db", archiveConfig)}
	for _, sessions := range []int{1, 50} {
		pooled, rates := make([][]time.Duration, len(filters)), make([][]float64, len(filters))
		for range b.rounds() {
			for i, f := range filters {
				r := f.start()
				begin := time.Now()
				times := r.run(load{sessions: sessions, messages: b.messages() / sessions, fields: 20})
				rates[i] = append(rates[i], float64(len(times))/time.Since(begin).Seconds())
				pooled[i] = append(pooled[i], times...)
				r.stop()
			}
		}
		null := quantile(pooled[0], 0.99)
		for i, f := range filters {
			t.add(fmt.Sprint(sessions), f.name, micros(quantile(pooled[i], 0.5)), micros(quantile(pooled[i], 0.99)),
				micros(quantile(pooled[i], 0.999)), fmt.Sprintf("%.2f", float64(quantile(pooled[i], 0.99))/float64(null)), number(median(rates[i])))
		}
	}
	return t
}

// quantile sorts the times in place.
func quantile(times []time.Duration, q float64) time.Duration {
	slices.Sort(times)
	return times[int(q*float64(len(times)-1))]
}

func micros(d time.Duration) string { return number(float64(d.Nanoseconds()) / 1000) }

// startAndMemory measures the time from start to the first connection, and
// the memory at rest and under 500 sessions that have seen a message each: the
// resident set, and the part of it that is not pages of files.
func (b *bench) startAndMemory() table {
	t := table{title: "Start and memory", head: []string{"filter", "start to ready, ms", "at rest, MB", "without files", "500 sessions, MB", "without files"}}
	for _, f := range []filter{b.libmilter(), b.daemon("permalink-milter, bolt", "bolt:r.db", archiveConfig), b.opendkim()} {
		var ready, rest, ownRest, loaded, ownLoaded []float64
		for range b.rounds() {
			r := f.start()
			ready = append(ready, float64(r.ready.Microseconds())/1000)
			all, own := r.memory()
			rest, ownRest = append(rest, all), append(ownRest, own)
			all, own = r.memoryUnder(500)
			loaded, ownLoaded = append(loaded, all), append(ownLoaded, own)
			r.stop()
		}
		t.add(f.name, number(median(ready)), number(median(rest)), number(median(ownRest)), number(median(loaded)), number(median(ownLoaded)))
	}
	return t
}

func (r *running) memoryUnder(sessions int) (all, own float64) {
	var open500 []*session
	for n := range sessions {
		s, err := open(r.socket)
		must(err)
		_, _, err = s.message(steps(20, fmt.Sprintf("%d@mail.example.org", n)))
		must(err)
		open500 = append(open500, s)
	}
	defer func() {
		for _, s := range open500 {
			s.close()
		}
	}()
	return r.memory()
}

// memory is the filter's resident set in MB, and its anonymous part.
func (r *running) memory() (all, own float64) {
	status, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(r.cmd.Process.Pid), "status"))
	must(err)
	megabytes := func(key string) (mb float64) {
		_, rest, _ := strings.Cut(string(status), key)
		fmt.Sscan(rest, &mb)
		return mb / 1024
	}
	return megabytes("VmRSS:"), megabytes("RssAnon:")
}
