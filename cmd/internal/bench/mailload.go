package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// mailRate is how many messages a second come while a web server is busy.
const mailRate = 200

// mailLoad measures what mail feels of a resolver that is asked for as much as
// it can answer, and of another process that takes the processors as much.
func (b *bench) mailLoad() table {
	t := table{title: fmt.Sprintf("The end of a message, µs, at %d messages a second beside %d busy HTTP connections", mailRate, resolverConns),
		head: []string{"busy", "p50", "p99", "longest", "p99 beside the other process"}}
	addr := freeAddr()
	mta := b.daemon("permalink-milter, bolt", b.archivedBolt(), archiveConfig+fmt.Sprintf(resolverConfig, addr)).start()
	defer mta.stop()
	own, other := webServer{name: "its own resolver", addr: addr}, b.bareHandler()
	defer other.stop()
	sides := []struct {
		name string
		load *webServer
	}{{"nothing", nil}, {"another process", &other}, {own.name, &own}}
	took, p99 := make([][]time.Duration, len(sides)), make([][]float64, len(sides))
	requests := requests()
	for range b.rounds() {
		for i, s := range sides {
			times := mta.mailBeside(s.load, requests, b.messages()/4)
			took[i] = append(took[i], times...)
			p99[i] = append(p99[i], float64(quantile(times, 0.99)))
		}
	}
	for i, s := range sides {
		t.add(s.name, micros(quantile(took[i], 0.5)), micros(quantile(took[i], 0.99)), micros(quantile(took[i], 1)), number(beside(p99[i], p99[1])))
	}
	return t
}

// mailBeside sends mail at mailRate while a web server, unless nil, is busy.
func (r *running) mailBeside(load *webServer, requests [][]byte, messages int) (times []time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	var busy sync.WaitGroup
	if load != nil {
		busy.Go(func() {
			for ctx.Err() == nil {
				load.redirects(5000, requests)
			}
		})
	}
	defer busy.Wait()
	defer stop()
	session, err := open(r.socket)
	must(err)
	defer session.close()
	due := time.NewTicker(time.Second / mailRate)
	defer due.Stop()
	for n := range messages {
		<-due.C
		_, took, err := session.message(steps(20, fmt.Sprintf("%d.%d@mail.example.org", time.Now().UnixNano(), n)))
		must(err)
		times = append(times, took)
	}
	return times
}
