// Package powercut shows what a cut of the power may leave of a program's files,
// in the manner of ALICE (Pillai et al., OSDI 2014). It records by strace what a
// process does to the files of a folder and what it prints, and makes the states
// that the folder may be in at any moment, on a disk that keeps what was synced
// and any part of the rest.
//
//	trace := powercut.Record(t, dir, "TEST_DIR="+dir, 600)
//	for state := range trace.States(rand) {
//		state.Restore(t.TempDir())
//		... // all that state.Said acknowledged must be there
//	}
//
// A sync of a file makes what it holds durable, and not its name: that takes a
// sync of its folder, as POSIX has it. What was not synced is there or not, call
// by call; a write also sector by sector, with zeros or what was there before
// in place of what is missing.
package powercut

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// A Trace is what a process did. Make one with Record.
type Trace struct {
	root  string
	calls []call
}

// A call is one system call: its begin where end is false, then its end.
type call struct {
	thread string
	name   string
	args   string // as strace prints them
	result string
	end    bool
}

const traced = "openat,write,pwrite64,ftruncate,truncate,fsync,fdatasync,unlinkat,renameat,renameat2,linkat,mkdirat"

// Record runs this test's program again under strace, with a variable that tells
// it to be the child. It returns when the child has ended, or has printed a
// number of lines, if that is not 0: it is then ended by its next one. Root
// exists before, and its name is taken to be durable.
func Record(t *testing.T, root, variable string, lines int) *Trace {
	t.Helper()
	need.Program(t, "strace", "strace")
	log := filepath.Join(t.TempDir(), "strace")
	child := exec.Command("strace", "-f", "-y", "-qq", "-xx", "-s", "10000000", "-o", log, "-e", "trace="+traced, "-e", "signal=none", os.Args[0])
	child.Env = append(os.Environ(), variable)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	for n := 0; (lines == 0 || n < lines) && said.Scan(); n++ {
	}
	out.Close()
	if err := child.Wait(); err != nil && lines == 0 {
		t.Fatalf("the child: %v", err)
	}
	tr := &Trace{root: root}
	if err := tr.read(log); err != nil {
		t.Fatal(err)
	}
	return tr
}

var (
	whole   = regexp.MustCompile(`^(\d+) +(\w+)\((.*)\) += (.*)$`)
	begun   = regexp.MustCompile(`^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$`)
	resumed = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)\) += (.*)$`)
)

func (tr *Trace) read(log string) error {
	f, err := os.Open(log)
	if err != nil {
		return err
	}
	defer f.Close()
	open := make(map[string]call) // by thread
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		line := lines.Text()
		if m := begun.FindStringSubmatch(line); m != nil {
			c := call{thread: m[1], name: m[2], args: m[3]}
			open[c.thread] = c
			tr.calls = append(tr.calls, c)
		} else if m := resumed.FindStringSubmatch(line); m != nil {
			c := open[m[1]]
			c.args, c.result, c.end = c.args+m[2], m[3], true
			tr.calls = append(tr.calls, c)
		} else if m := whole.FindStringSubmatch(line); m != nil {
			c := call{thread: m[1], name: m[2], args: m[3], result: m[4]}
			tr.calls = append(tr.calls, c)
			c.end = true
			tr.calls = append(tr.calls, c)
		}
	}
	return lines.Err()
}

// Without returns the trace as if the process had not synced what the function
// chooses by its path below the root, "." for the root itself.
func (tr *Trace) Without(sync func(path string) bool) *Trace {
	out := &Trace{root: tr.root}
	for _, c := range tr.calls {
		if path, below := tr.path(c.file()); c.isSync() && below && sync(path) {
			continue
		}
		out.calls = append(out.calls, c)
	}
	return out
}

func (c call) isSync() bool { return c.name == "fsync" || c.name == "fdatasync" }

func (c call) failed() bool { return strings.HasPrefix(c.result, "-1") }

// path returns a path relative to the root.
func (tr *Trace) path(abs string) (path string, below bool) {
	path, err := filepath.Rel(tr.root, abs)
	return path, err == nil && filepath.IsLocal(path)
}

var (
	descriptor = regexp.MustCompile(`^\d+<([^>]*)>`)
	text       = regexp.MustCompile(`"((?:\\x[0-9a-f]{2})*)"`)
)

// file returns the path of the file whose descriptor is the first argument.
func (c call) file() string {
	m := descriptor.FindStringSubmatch(c.args)
	if m == nil {
		return ""
	}
	return unescape(m[1])
}

// texts returns the strings among the arguments.
func (c call) texts() (all []string) {
	for _, m := range text.FindAllStringSubmatch(c.args, -1) {
		all = append(all, unescape(m[1]))
	}
	return all
}

// last returns the last argument, a number.
func (c call) last() int {
	n, _ := strconv.Atoi(c.args[strings.LastIndex(c.args, " ")+1:])
	return n
}

func unescape(s string) string {
	if s, err := strconv.Unquote(`"` + s + `"`); err == nil {
		return s
	}
	return s
}
