package redisreg_test

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
	"permalink-milter/registry/registrytest"
)

// clients is how many reserve at once, here and in redis-benchmark.
const clients = 50

// BenchmarkReserve reserves for as many messages as -benchtime says, on one
// list, and tells what a reservation takes of Redis' memory.
func BenchmarkReserve(b *testing.B) {
	s := server(b)
	reg := registry.New(open(b, redisreg.Options{URL: "redis://" + s.Addr()}), registry.Options{})
	empty := usedMemory(b, s)
	each(b, func(n int) error {
		_, err := reg.Reserve(b.Context(), numbered(n))
		return err
	})
	ours := float64(b.N) / b.Elapsed().Seconds()
	b.ReportMetric(float64(usedMemory(b, s)-empty)/float64(b.N), "B/reservation")
	b.ReportMetric(ours, "reservations/s")
	bare := scriptRate(b, s, max(b.N/5, 1000), clients, 1)
	b.ReportMetric(bare, "redis-benchmark/s")
	b.ReportMetric(ours/bare, "ratio")
	b.ReportMetric(scriptRate(b, s, b.N, clients/8, 8), "pipelined/s")
}

// BenchmarkArchived does the same, then confirms one message in ten.
func BenchmarkArchived(b *testing.B) {
	s := server(b)
	reg := registry.New(open(b, redisreg.Options{URL: "redis://" + s.Addr()}), registry.Options{})
	empty := usedMemory(b, s)
	each(b, func(n int) error {
		r := numbered(n)
		_, err := reg.Reserve(b.Context(), r)
		if n%10 == 0 && err == nil {
			_, err = reg.Confirm(b.Context(), registry.Confirmation{List: r.List, Token: r.Hash,
				URL: "https://lists.example.org/archives/list/devel@lists.example.org/message/" + r.Hash + "/"})
		}
		return err
	})
	b.ReportMetric(float64(usedMemory(b, s)-empty)/float64(b.N), "B/reservation")
}

// BenchmarkPlainLayout stores the same values as a plain layout would: one
// hash a list, the token's hash as the field.
func BenchmarkPlainLayout(b *testing.B) {
	s := server(b)
	empty := usedMemory(b, s)
	cmd := exec.Command("redis-cli", "-p", strconv.Itoa(s.Port), "--pipe")
	in, err := cmd.StdinPipe()
	must(b, err)
	must(b, cmd.Start())
	for n := range b.N {
		value := string(registry.Entry{Slots: []registry.Slot{{State: registry.Reserved, Identity: numbered(n).Identity, Since: 1779003632}}}.AppendBinary(nil))
		for _, arg := range []string{"*4", "$4", "HSET", "$33", "permalink:devel@lists.example.org", "$26", numbered(n).Hash, fmt.Sprint("$", len(value)), value} {
			fmt.Fprintf(in, "%s\r\n", arg)
		}
	}
	in.Close()
	must(b, cmd.Wait())
	b.ReportMetric(float64(usedMemory(b, s)-empty)/float64(b.N), "B/reservation")
}

// each calls reserve for every number below b.N, from all clients.
func each(b *testing.B, reserve func(n int) error) {
	b.Helper()
	var next atomic.Int64
	b.SetParallelism(clients / 2)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := reserve(int(next.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
}

func numbered(n int) registry.Request {
	hash, _ := hashheader.MD5.Hash(fmt.Append(nil, n))
	r := registry.Request{List: "devel@lists.example.org", Hash: hash}
	binary.BigEndian.PutUint64(r.Identity[8:], uint64(n))
	return r
}

func usedMemory(b *testing.B, s *redistest.Server) int {
	b.Helper()
	info, err := s.CLI("info", "memory")
	must(b, err)
	_, rest, _ := strings.Cut(info, "used_memory:")
	digits, _, _ := strings.Cut(rest, "\r")
	used, err := strconv.Atoi(digits)
	must(b, err)
	return used
}

// scriptRate lets redis-benchmark run the script n times on buckets and fields
// of its own, from so many clients, each with so many requests in a write, and
// returns how many it does a second.
func scriptRate(b *testing.B, s *redistest.Server, n, clients, pipeline int) float64 {
	b.Helper()
	// The client has loaded the script; SCRIPT LOAD tells the digest.
	sha, err := s.CLI("script", "load", redisreg.SwapScript)
	must(b, err)
	out, err := exec.Command(need.Program(b, "redis-benchmark", "redis-tools"), "-p", strconv.Itoa(s.Port), "-c", strconv.Itoa(clients), "-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(n), "-r", "65536", "--csv",
		"evalsha", sha, "1", "bench:v1:{__rand_int__}", "devel@lists.example.org__rand_int__", "", strings.Repeat("v", 23)).Output()
	must(b, err)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	// "evalsha …","requests a second",…
	fields := strings.Split(lines[len(lines)-1], `","`)
	rate, err := strconv.ParseFloat(fields[1], 64)
	must(b, err)
	return rate
}

func BenchmarkReserveBesideASweep(b *testing.B) {
	registrytest.SweepBench(b, open(b, redisreg.Options{URL: "redis://" + server(b).Addr()}), 10000)
}
