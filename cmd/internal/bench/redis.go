package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
)

// redisClients is how many reserve at once, here and in redis-benchmark.
const redisClients = 50

// redisServer starts a server that keeps nothing on disk.
func (b *bench) redisServer() *redistest.Server {
	s, err := redistest.Start(b.file("redis"))
	must(err)
	return s
}

func redisRegistry(s *redistest.Server) (registry.Registry, func()) {
	store, err := redisreg.Open(redisreg.Options{URL: "redis://" + s.Addr(), KeyPrefix: "permalink:", Timeout: time.Minute})
	must(err)
	g := registry.New(store, registry.Options{})
	return g, func() { g.Close() }
}

// redis compares reservations with what redis-benchmark gets of the same
// script, each by itself as from 50 programs, and eight in a write, since
// redisreg shares writes too; and their memory with that of one hash a list.
// The benchmarks are redisreg's own.
func (b *bench) redis() table {
	stored := pick(b, 100_000, 1_000_000, 1_000_000)
	t := table{title: fmt.Sprintf("Reservations a second in Redis, 50 clients; bytes each takes in %d", stored),
		head: []string{"what", "median", "min", "max", "beside redis-benchmark", "bytes"}}
	rates := b.redisBenchmarks("Reserve$", 25*b.messages(), b.rounds())
	memory := b.redisBenchmarks("(Reserve|PlainLayout)$", stored, 1)["B/reservation"]
	low, middle, high := spread(rates["redis-benchmark/s"])
	t.add("redis-benchmark, 50 clients; one hash a list", middle, low, high, "1.00", number(memory[1]))
	low, middle, high = spread(rates["pipelined/s"])
	t.add("redis-benchmark, 6 clients, 8 in a write", middle, low, high, number(beside(rates["pipelined/s"], rates["redis-benchmark/s"])), "")
	low, middle, high = spread(rates["reservations/s"])
	t.add("redisreg", middle, low, high, number(median(rates["ratio"])), number(memory[0]))
	return t
}

// redisBenchmarks runs benchmarks of redisreg, each with so many
// reservations, and returns what they report by its unit.
func (b *bench) redisBenchmarks(pattern string, reservations, count int) map[string][]float64 {
	out, err := exec.CommandContext(b.ctx, "go", "test", "-run", "^$", "-bench", pattern, "-timeout", "2h",
		"-benchtime", fmt.Sprintf("%dx", reservations), "-count", strconv.Itoa(count), "./registry/redisreg").CombinedOutput()
	if err != nil {
		fail("benchmarks of redisreg: %v\n%s", err, out)
	}
	units := make(map[string][]float64)
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "Benchmark") {
			continue
		}
		words := strings.Fields(line)
		for i := 2; i+1 < len(words); i += 2 {
			value, err := strconv.ParseFloat(words[i], 64)
			must(err)
			units[words[i+1]] = append(units[words[i+1]], value)
		}
	}
	return units
}

// redisGrowth measures what a reservation and a lookup cost as the registry
// in Redis grows, and what memory a reservation takes.
func (b *bench) redisGrowth() table {
	t := table{title: "Growth of the registry in Redis",
		head: []string{"reservations", "50 clients, reservations a second", "lookup, µs", "reading all, a second", "memory, bytes a reservation"}}
	s := b.redisServer()
	defer s.Stop()
	g, end := redisRegistry(s)
	defer end()
	empty := usedMemory(s)
	const sample = 10_000
	filled := 0
	for _, size := range b.sizes() {
		from := filled
		rate(redisClients, size-sample-from, func(i int) { reserve(g, from+i) })
		writes := rate(redisClients, sample, func(i int) { reserve(g, size-sample+i) })
		filled = size
		lookups := rate(1, sample, func(i int) { lookup(g, i*(size/sample)) })
		t.add(fmt.Sprint(size), number(writes), number(1e6/lookups), number(readAll(g, size)), number((usedMemory(s)-empty)/float64(size)))
	}
	return t
}

func usedMemory(s *redistest.Server) float64 {
	info, err := s.CLI("info", "memory")
	must(err)
	_, rest, _ := strings.Cut(info, "used_memory:")
	digits, _, _ := strings.Cut(rest, "\r")
	used, err := strconv.ParseFloat(digits, 64)
	must(err)
	return used
}

func lookup(g registry.Registry, i int) {
	_, err := g.Lookup(context.Background(), "devel@lists.example.org", hashOf(i))
	must(err)
}

// readAll returns how many reservations a second a pass over all of them
// reads, as for statistics and exports.
func readAll(g registry.Registry, size int) float64 {
	start := time.Now()
	stats, err := g.Stats(context.Background())
	must(err)
	if stats.Reserved != size {
		fail("read %d reservations, not %d", stats.Reserved, size)
	}
	return float64(size) / time.Since(start).Seconds()
}

// sizes are those to which the registries grow.
func (b *bench) sizes() []int {
	return pick(b, []int{10_000, 100_000}, []int{10_000, 1_000_000}, []int{10_000, 1_000_000, 10_000_000})
}
