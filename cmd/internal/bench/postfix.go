package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"permalink-milter/milter/mtatest"
)

// A site is a Postfix with at most one filter.
type site struct {
	name    string
	postfix *mtatest.Postfix
	sink    *mtatest.Sink
	filter  *running
}

// postfix measures how many messages a second Postfix takes from smtp-source
// with 50 sessions and delivers to a sink, and what CPU time the filter takes
// for each. A session is one message's, or it is kept (-d).
func (b *bench) postfix() table {
	t := table{title: "Messages a second through Postfix, smtp-source with 50 sessions",
		head: []string{"sessions", "filter", "median", "min", "max", "lower than without, %", "than null, %", "filter's CPU a message, µs"}}
	redis := b.redisServer()
	defer redis.Stop()
	filters := []filter{b.null(), b.libmilter(), b.hashOnly(), b.daemon("permalink-milter, bolt", "bolt:r.db", archiveConfig),
		b.daemon("permalink-milter, Redis", "redis://"+redis.Addr(), archiveConfig)}
	b.postfixRows(&t, "of a message each", filters)
	b.postfixRows(&t, "kept", filters, "-d")
	return t
}

func (b *bench) postfixRows(t *table, label string, filters []filter, args ...string) {
	sites := []site{b.site("none", nil)}
	for _, f := range filters {
		sites = append(sites, b.site(f.name, f.start()))
	}
	rates := make([][]float64, len(sites))
	for range b.rounds() {
		for i, s := range sites {
			rates[i] = append(rates[i], s.rate(b.ctx, b.messages(), args...))
		}
	}
	for i, s := range sites {
		low, middle, high := spread(rates[i])
		cpu := float64(s.stop().Microseconds()) / float64(b.rounds()*b.messages())
		t.add(label, s.name, middle, low, high, number(100*(1-beside(rates[i], rates[0]))),
			number(100*(1-beside(rates[i], rates[1]))), number(cpu))
	}
}

func (b *bench) site(name string, f *running) site {
	s := site{name: name, filter: f}
	var err error
	s.sink, err = mtatest.StartSink(b.ctx)
	must(err)
	o := mtatest.Options{Sink: s.sink.Addr()}
	if f != nil {
		o.Milters = []string{"unix:" + f.socket}
	}
	s.postfix, err = mtatest.StartPostfix(b.ctx, o)
	must(err)
	return s
}

// rate returns how many messages a second Postfix takes and delivers.
func (s site) rate(ctx context.Context, messages int, args ...string) float64 {
	start := time.Now()
	must(mtatest.Load(ctx, s.postfix.Remote(), 50, messages, append(args, "-l", "4096", "-f", "a@example.net", "-t", "devel@lists.example.org")...))
	_, err := s.sink.Wait(ctx, messages)
	must(err)
	took := time.Since(start)
	s.sink.Reset()
	return float64(messages) / took.Seconds()
}

// stop returns the CPU time that the filter took.
func (s site) stop() time.Duration {
	must(s.postfix.Stop())
	s.sink.Stop()
	if s.filter == nil {
		return 0
	}
	return s.filter.stop()
}

// spread returns minimum, median and maximum as the tables show them.
func spread(v []float64) (low, middle, high string) {
	lowest, highest := v[0], v[0]
	for _, x := range v {
		lowest, highest = min(lowest, x), max(highest, x)
	}
	return number(lowest), number(median(v)), number(highest)
}

func (b *bench) file(name string) string {
	return filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, time.Now().UnixNano()))
}
