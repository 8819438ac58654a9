package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/redisreg"
)

// importing measures how many messages a second permalink import enters into a
// new registry, and whether that falls with their number. Millions are imported
// once.
func (b *bench) importing() table {
	t := table{title: "Messages a second of permalink import",
		head: []string{"messages", "registry", "median", "min", "max", "beside the first number"}}
	first := make(map[string][]float64)
	for _, size := range pick(b, []int{2000, 20_000}, []int{20_000, 200_000}, []int{20_000, 200_000, 10_000_000}) {
		mbox := b.file("import.mbox")
		must(writeMbox(mbox, size))
		rates := make(map[string][]float64)
		rounds := b.rounds()
		if size > 1_000_000 {
			rounds = 1
		}
		for range rounds {
			rates["bolt"] = append(rates["bolt"], b.importBolt(mbox, size))
			rates["Redis"] = append(rates["Redis"], b.importRedis(mbox, size))
		}
		must(os.Remove(mbox))
		for _, name := range []string{"bolt", "Redis"} {
			if first[name] == nil {
				first[name] = rates[name]
			}
			low, middle, high := spread(rates[name])
			t.add(fmt.Sprint(size), name, middle, low, high, number(median(rates[name])/median(first[name])))
		}
	}
	return t
}

func (b *bench) importBolt(mbox string, size int) float64 {
	file := b.file("import.db")
	defer os.Remove(file)
	return b.imports(mbox, size, "bolt:"+file)
}

func (b *bench) importRedis(mbox string, size int) float64 {
	redis := b.redisServer()
	defer redis.Stop()
	return b.imports(mbox, size, "redis://"+redis.Addr())
}

func (b *bench) imports(mbox string, size int, registry string) float64 {
	return float64(size) / b.seconds([]string{filepath.Join(b.dir, "permalink"), "import", "--list", "devel@lists.example.org",
		"--registry", registry, "--url", "https://a.example/{list}/{token}", mbox})
}

// writeMbox writes so many messages of a few lines.
func writeMbox(name string, messages int) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	out := bufio.NewWriterSize(f, 1<<20)
	for n := range messages {
		fmt.Fprintf(out, "From alice@example.org Tue Nov 24 11:00:00 2026\nMessage-ID: <%d@mail.example.org>\nDate: Tue, 24 Nov 2026 11:00:00 +0000\n"+
			"From: Alice <alice@example.org>\nTo: devel@lists.example.org\nSubject: [devel] Re: subject %d\n\nHello, list.\n\n", n, n)
	}
	return out.Flush()
}

// collisions measures whether a reservation takes longer the more messages of
// its hash there are. Each is given up again at once, which is not measured.
func (b *bench) collisions() table {
	t := table{title: "A reservation of one hash, µs", head: []string{"registry", "message", "median", "min", "max", "beside the first"}}
	file := b.file("collisions")
	bolt, err := boltreg.Open(file)
	must(err)
	defer os.Remove(file)
	b.collisionRows(&t, "bolt", bolt)
	server := b.redisServer()
	defer server.Stop()
	redis, err := redisreg.Open(redisreg.Options{URL: "redis://" + server.Addr(), KeyPrefix: "permalink:", Timeout: time.Minute})
	must(err)
	b.collisionRows(&t, "Redis", redis)
	return t
}

func (b *bench) collisionRows(t *table, name string, store registry.Store) {
	g := registry.New(store, registry.Options{})
	defer g.Close()
	ordinals := []int{1, 2, hashheader.MaxOrdinal}
	times := make([][]float64, len(ordinals))
	for i, ordinal := range ordinals {
		hold(store, hashOf(i), ordinal-1)
	}
	for range b.rounds() {
		for i, ordinal := range ordinals {
			times[i] = append(times[i], reserveAgain(g, hashOf(i), ordinal, b.messages()/10))
		}
	}
	for i, ordinal := range ordinals {
		low, middle, high := spread(times[i])
		t.add(name, fmt.Sprint(ordinal), middle, low, high, number(beside(times[i], times[0])))
	}
}

// hold reserves the first ordinals of a hash for messages that are not ours.
func hold(store registry.Store, hash string, ordinals int) {
	var e registry.Entry
	for n := range ordinals {
		e.Slots = append(e.Slots, registry.Slot{State: registry.Reserved, Identity: hashheader.Identity{1, byte(n), byte(n >> 8)}, Since: time.Now().Unix()})
	}
	must(store.Update(context.Background(), registry.Key{List: resolverList, Hash: hash}, func(registry.Entry) (registry.Entry, bool) { return e, ordinals > 0 }))
}

// reserveAgain returns the median time of a reservation that gets this ordinal.
func reserveAgain(g registry.Registry, hash string, ordinal, times int) float64 {
	ctx, id := context.Background(), hashheader.Identity{2}
	var took []float64
	for range times {
		begin := time.Now()
		r, err := g.Reserve(ctx, registry.Request{List: resolverList, Hash: hash, Identity: id})
		took = append(took, float64(time.Since(begin).Nanoseconds())/1000)
		must(err)
		if r.Ordinal != ordinal {
			fail("%s has ordinal %d, not %d", hash, r.Ordinal, ordinal)
		}
		must(g.Release(ctx, resolverList, r.Token(), id))
	}
	return median(took)
}
