package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"permalink-milter/testdata/mta"
)

// A site is a Postfix with at most one filter.
type site struct {
	name    string
	postfix *mta.Postfix
	sink    *mta.Sink
	filter  *running
}

// postfix measures how many messages a second Postfix takes from smtp-source
// with 50 sessions and delivers to a sink.
func (b *bench) postfix() table {
	t := table{title: "Messages a second through Postfix, smtp-source with 50 sessions",
		head: []string{"filter", "median", "min", "max", "lower than without, %"}}
	redis := b.redisServer()
	defer redis.Stop()
	sites := []site{b.site("none", nil)}
	for _, f := range []filter{b.null(), b.libmilter(), b.hashOnly(), b.daemon("permalink-milter, bolt", "bolt:r.db", archiveConfig),
		b.daemon("permalink-milter, Redis", "redis://"+redis.Addr(), archiveConfig)} {
		sites = append(sites, b.site(f.name, f.start()))
	}
	rates := make([][]float64, len(sites))
	for range b.rounds() {
		for i, s := range sites {
			rates[i] = append(rates[i], s.rate(b.ctx, b.messages()))
		}
	}
	for i, s := range sites {
		var lower []float64
		for round, v := range rates[i] {
			lower = append(lower, 100*(1-v/rates[0][round]))
		}
		low, middle, high := spread(rates[i])
		t.add(s.name, middle, low, high, number(median(lower)))
		s.stop()
	}
	return t
}

func (b *bench) site(name string, f *running) site {
	s := site{name: name, filter: f}
	var err error
	s.sink, err = mta.StartSink(b.ctx)
	must(err)
	o := mta.Options{Sink: s.sink.Addr()}
	if f != nil {
		o.Milters = []string{"unix:" + f.socket}
	}
	s.postfix, err = mta.StartPostfix(b.ctx, o)
	must(err)
	return s
}

// rate returns how many messages a second Postfix takes and delivers.
func (s site) rate(ctx context.Context, messages int) float64 {
	start := time.Now()
	must(mta.Load(ctx, s.postfix.Remote(), 50, messages, "-l", "4096", "-f", "a@example.net", "-t", "devel@lists.example.org"))
	_, err := s.sink.Wait(ctx, messages)
	must(err)
	took := time.Since(start)
	s.sink.Reset()
	return float64(messages) / took.Seconds()
}

func (s site) stop() {
	must(s.postfix.Stop())
	s.sink.Stop()
	if s.filter != nil {
		s.filter.stop()
	}
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
