// Command bench compares the programs with what stands beside them, on one
// machine in one run, the sides in turn. It prints tables and writes them to
// a file. It asserts nothing: the machine may be busy with other things.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"
)

// comparisons are the tables, by the names that the command line takes.
var comparisons = []struct {
	name string
	run  func(*bench) table
}{
	{"cpu", (*bench).cpu},
	{"latency", (*bench).latency},
	{"start", (*bench).startAndMemory},
	{"postfix", (*bench).postfix},
	{"bolt", (*bench).bolt},
	{"growth", (*bench).growth},
	{"redis", (*bench).redis},
	{"redis-growth", (*bench).redisGrowth},
	{"verify", (*bench).verify},
	{"strangers", (*bench).strangers},
	{"resolver", (*bench).resolver},
	{"mail-load", (*bench).mailLoad},
	{"lmtp", (*bench).lmtp},
	{"import", (*bench).importing},
	{"collisions", (*bench).collisions},
}

func main() {
	out := flag.String("out", "dist/bench.md", "write the tables to this `FILE` too")
	full := flag.Bool("full", false, "more rounds and messages")
	quick := flag.Bool("quick", false, "fewer, for the figures before and after a change")
	flag.Usage = usage
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	dir, err := os.MkdirTemp("", "permalink-bench-")
	must(err)
	defer os.RemoveAll(dir)
	b := &bench{ctx: ctx, dir: dir, full: *full, quick: *quick}
	b.build()
	must(os.MkdirAll("dist", 0o755))
	file, err := os.Create(*out)
	must(err)
	defer file.Close()
	w := io.MultiWriter(os.Stdout, file)
	fmt.Fprintf(w, "# Benchmarks\n\n%s\n", machine())
	for _, c := range comparisons {
		if flag.NArg() == 0 || slices.Contains(flag.Args(), c.name) {
			c.run(b).write(w)
		}
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: bench [-full | -quick] [-out FILE] [TABLE]...")
	for _, c := range comparisons {
		fmt.Fprintln(os.Stderr, "  ", c.name)
	}
}

func (b *bench) rounds() int { return pick(b, 3, 5, 9) }

func (b *bench) messages() int { return pick(b, 1000, 4000, 20000) }

// patience is how long a round lasts that is bounded by time.
func (b *bench) patience() time.Duration {
	return pick(b, 500*time.Millisecond, 2*time.Second, 5*time.Second)
}

// pick returns the quick, the usual or the full size of something.
func pick[T any](b *bench, quick, usual, full T) T {
	switch {
	case b.quick:
		return quick
	case b.full:
		return full
	}
	return usual
}

// machine tells what was measured on.
func machine() string {
	versions := []string{runtime.Version(), fmt.Sprintf("%d CPUs", runtime.NumCPU())}
	for _, p := range []string{"libmilter1.0.1", "opendkim", "python3-milter", "postfix", "redis-server"} {
		out, err := exec.Command("dpkg-query", "-W", "-f", "${Package} ${Version}", p).Output()
		if err == nil {
			versions = append(versions, string(out))
		}
	}
	return strings.Join(versions, ", ") + "."
}

func must(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
	os.Exit(1)
}
