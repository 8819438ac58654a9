package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

// bolt compares acknowledged, durable reservations with one fsync a write on
// the same disk.
func (b *bench) bolt() table {
	t := table{title: "Durable reservations a second in the embedded registry",
		head: []string{"writers", "what", "median", "min", "max", "beside one fsync a write"}}
	count := map[int]int{1: b.messages() / 8, 64: b.messages() * 5 / 2}
	for _, writers := range []int{1, 64} {
		var plain, ours, ratio []float64
		for range b.rounds() {
			p, o := b.plainBolt(writers, count[1]), b.reservations(writers, count[writers])
			plain, ours, ratio = append(plain, p), append(ours, o), append(ratio, o/p)
		}
		low, middle, high := spread(plain)
		t.add(fmt.Sprint(writers), "one fsync a write", middle, low, high, "1.00")
		low, middle, high = spread(ours)
		t.add(fmt.Sprint(writers), "boltreg", middle, low, high, number(median(ratio)))
	}
	return t
}

// plainBolt writes as many keys, each in a transaction of its own.
func (b *bench) plainBolt(writers, n int) float64 {
	file := b.file("plain")
	db, err := bbolt.Open(file, 0o600, nil)
	must(err)
	defer os.Remove(file)
	defer db.Close()
	return rate(writers, n, func(i int) {
		must(db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return bucket.Put([]byte(hashOf(i)), make([]byte, 24))
		}))
	})
}

func (b *bench) reservations(writers, n int) float64 {
	file := b.file("bolt")
	store, err := boltreg.Open(file)
	must(err)
	defer os.Remove(file)
	g := registry.New(store, registry.Options{})
	defer g.Close()
	return rate(writers, n, func(i int) { reserve(g, i) })
}

func reserve(g registry.Registry, i int) {
	_, err := g.Reserve(context.Background(), registry.Request{List: "devel@lists.example.org", Hash: hashOf(i),
		Identity: hashheader.Identity{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}})
	must(err)
}

func hashOf(i int) string {
	hash, err := hashheader.MD5.Hash(fmt.Appendf(nil, "%d@mail.example.org", i))
	must(err)
	return hash
}

// rate does n things with so many goroutines and returns how many a second.
func rate(workers, n int, do func(i int)) float64 {
	var next atomic.Int64
	var wg sync.WaitGroup
	start := time.Now()
	for range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
	return float64(n) / time.Since(start).Seconds()
}

// growth measures what a reservation and a lookup cost as the registry grows.
func (b *bench) growth() table {
	t := table{title: "Growth of the embedded registry",
		head: []string{"reservations", "64 writers, reservations a second", "lookup, µs", "reading all, a second", "file, bytes a reservation"}}
	file := b.file("growth")
	store, err := boltreg.Open(file)
	must(err)
	g := registry.New(store, registry.Options{})
	defer os.Remove(file)
	defer g.Close()
	const sample = 10_000
	filled := 0
	for _, size := range b.sizes() {
		from := filled
		rate(1024, size-sample-from, func(i int) { reserve(g, from+i) })
		writes := rate(64, sample, func(i int) { reserve(g, size-sample+i) })
		filled = size
		lookups := rate(1, sample, func(i int) { lookup(g, i*(size/sample)) })
		info, err := os.Stat(file)
		must(err)
		t.add(fmt.Sprint(size), number(writes), number(1e6/lookups), number(readAll(g, size)), number(float64(info.Size())/float64(size)))
	}
	return t
}
