// Command benchverify measures permalink verify beside grep on one generated
// mbox. The two take turns, so that a busy machine is busy for both; the
// medians count.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	size := flag.Int64("mb", 1000, "size of the mbox in `MB`")
	rounds := flag.Int("rounds", 7, "how often each is run")
	tool := flag.String("permalink", "bin/permalink", "the tool's `FILE`")
	flag.Parse()
	if err := bench(*tool, *size*1e6, *rounds); err != nil {
		fmt.Fprintln(os.Stderr, "benchverify:", err)
		os.Exit(1)
	}
}

func bench(tool string, size int64, rounds int) error {
	dir, err := os.MkdirTemp("", "benchverify")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	mbox := filepath.Join(dir, "list.mbox")
	if err := generate(mbox, size, 1); err != nil {
		return err
	}
	runs := map[string][]time.Duration{}
	for range rounds {
		for name, command := range map[string][]string{
			"grep":   {"grep", "-c", "^Message-ID", mbox},
			"verify": {tool, "verify", "--archive", "https://lists.example.org/{list}/{token}", mbox},
		} {
			took, err := run(command)
			if err != nil {
				return err
			}
			runs[name] = append(runs[name], took)
		}
	}
	grep, verify := median(runs["grep"]), median(runs["verify"])
	fmt.Printf("grep -c '^Message-ID'  %6.0f MB/s\n", float64(size)/1e6/grep.Seconds())
	fmt.Printf("permalink verify       %6.0f MB/s\n", float64(size)/1e6/verify.Seconds())
	fmt.Printf("ratio                  %6.2f of grep (never below 0.33)\n", grep.Seconds()/verify.Seconds())
	if verify > 3*grep {
		return errors.New("verify is slower than a third of grep; it needs the cores that other work has, grep needs one")
	}
	return nil
}

func run(command []string) (time.Duration, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stderr = os.Stderr
	begin := time.Now()
	_, err := cmd.Output() // grep that writes to /dev/null stops at the first match
	return time.Since(begin), err
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
