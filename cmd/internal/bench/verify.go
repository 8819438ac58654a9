package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// verify compares permalink verify on an mbox with grep, which only finds the
// lines, and with the usual script in Python, which checks one field each.
func (b *bench) verify() table {
	size := pick[int64](b, 50e6, 200e6, 1e9)
	t := table{title: fmt.Sprintf("Reading an mbox of %d MB, MB/s", size/1e6),
		head: []string{"what", "median", "min", "max", "times as fast as grep", "as Python"}}
	mbox := b.file("list.mbox")
	must(generate(mbox, size, 1))
	defer os.Remove(mbox)
	commands := [][]string{
		{"grep", "-c", "^Message-ID", mbox},
		{filepath.Join(b.dir, "permalink"), "verify", "--archive", "https://lists.example.org/{list}/{token}", mbox},
		{"python3", "cmd/internal/bench/peers/verify.py", mbox},
	}
	speeds := make([][]float64, len(commands))
	for range b.rounds() {
		for i, command := range commands {
			speeds[i] = append(speeds[i], float64(size)/1e6/b.seconds(command))
		}
	}
	for i, name := range []string{"grep -c '^Message-ID'", "permalink verify", "Python, mailbox and hashlib"} {
		low, middle, high := spread(speeds[i])
		t.add(name, middle, low, high, number(beside(speeds[i], speeds[0])), number(beside(speeds[i], speeds[2])))
	}
	return t
}

// seconds is how long a command takes. What it writes is read: grep stops at
// the first match when it writes to /dev/null.
func (b *bench) seconds(command []string) float64 {
	cmd := exec.CommandContext(b.ctx, command[0], command[1:]...)
	begin := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		fail("%q: %v\n%.500s", command, err, out)
	}
	return time.Since(begin).Seconds()
}

// beside is the median of the ratios, round by round.
func beside(these, those []float64) float64 {
	var ratios []float64
	for i := range these {
		ratios = append(ratios, these[i]/those[i])
	}
	return median(ratios)
}
