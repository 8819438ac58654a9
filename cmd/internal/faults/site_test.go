package faults

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"permalink-milter/milter/mtatest"
	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
)

// patience bounds every wait; none is meant to take that long.
const patience = 30 * time.Second

// daemonBin is the daemon that TestMain builds.
var daemonBin string

func TestMain(m *testing.M) { os.Exit(mtatest.RunWithDaemon(m, "../../..", &daemonBin)) }

// A site is a daemon with a load.
type site struct {
	*mtatest.Daemon
	dir     string // that others may pass; state is in it
	metrics string
	load    *Load
}

// begin starts a daemon under the program of a wrapper, none for "": a line of shell that ends in "exec" and has DIR
// for the directory. config are further lines, before the archive.
func begin(t *testing.T, wrapper string, config ...string) *site {
	t.Helper()
	s := prepare(t, config...)
	d, err := s.start(t, wrapper)
	if err != nil {
		t.Fatal(err)
	}
	s.Daemon = d
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%.5000s", d.Stderr())
		}
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// prepare writes the configuration in a directory that every user may pass.
func prepare(t *testing.T, config ...string) *site {
	t.Helper()
	need.Time(t, "it starts the daemon")
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	port, err := mtatest.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	s := &site{dir: dir, metrics: fmt.Sprintf("http://127.0.0.1:%d/metrics", port)}
	s.load = &Load{Network: "unix", Addr: filepath.Join(dir, "milter")}
	text := fmt.Sprintf("state_dir = %q\nadmin.listen = \"127.0.0.1:%d\"\nmilter.listen = [%q]\n%s\n%s",
		s.state(), port, "unix:"+s.load.Addr, strings.Join(config, "\n"), archive(URL))
	s.write(t, text)
	return s
}

func archive(url string) string {
	return fmt.Sprintf("[[archive]]\nname = \"a\"\nlists = [%q]\nurl = \"%s{token}\"\n", List, url)
}

func (s *site) state() string  { return filepath.Join(s.dir, "state") }
func (s *site) file() string   { return filepath.Join(s.dir, "permalink-milter.toml") }
func (s *site) bolt() string   { return filepath.Join(s.state(), "permalinks.db") }
func (s *site) inside() string { return fmt.Sprintf("/proc/%d/root", s.PID()) } // the daemon's view of the files

// write replaces the configuration at once, as whoever sends SIGHUP must.
func (s *site) write(t *testing.T, text string) {
	t.Helper()
	next := s.file() + ".next"
	err := os.WriteFile(next, []byte(text), 0o644)
	if err == nil {
		err = os.Rename(next, s.file())
	}
	if err != nil {
		t.Fatal(err)
	}
}

// start starts the daemon that prepare configured.
func (s *site) start(t *testing.T, wrapper string) (*mtatest.Daemon, error) {
	t.Helper()
	bin := daemonBin
	if wrapper != "" {
		bin = filepath.Join(s.dir, "wrapper")
		text := "#!/bin/sh\nset -e\n" + strings.ReplaceAll(wrapper, "DIR", s.dir) + " " + daemonBin + " \"$@\"\n"
		// A process that another test starts meanwhile would keep the file open
		// for writing, and then it cannot be run (ETXTBSY).
		syscall.ForkLock.RLock()
		err := os.WriteFile(bin, []byte(text), 0o755)
		syscall.ForkLock.RUnlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(s.file())
	if err != nil {
		t.Fatal(err)
	}
	return mtatest.StartDaemon(limit(t), bin, s.dir, string(text), "unix:"+s.load.Addr)
}

// limit is a context that ends a test which hangs.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// under sends over 8 sessions while do is done and a moment longer, and wants each message through and right.
func (s *site) under(t *testing.T, do func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.load.Run(ctx, 8, patience) }()
	s.through(t, 100)
	do()
	s.through(t, 100)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c := s.load.Counts()
	if c.Sent != c.Stamped+c.Unmarked {
		t.Errorf("%+v: some are lost or doubled", c)
	}
}

// through waits until n more messages are through.
func (s *site) through(t *testing.T, n int64) {
	t.Helper()
	done := func() int64 { c := s.load.Counts(); return c.Stamped + c.Unmarked }
	want := done() + n
	until(t, fmt.Sprintf("%d messages", n), func() bool { return done() >= want })
}

// until waits for a condition. Where that does not come the test goes on, so that the load is ended.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Errorf("in vain waited for %s", what)
}

// logged waits for text in the daemon's log.
func (s *site) logged(t *testing.T, text string) {
	t.Helper()
	until(t, fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(s.Stderr(), text) })
}

// reserved returns the ordinals of each hash of the load in a registry file that the daemon has left, or a copy.
func reserved(t *testing.T, file string) map[string]int {
	t.Helper()
	store, err := boltreg.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	found := make(map[string]int)
	for r, err := range registry.New(store, registry.Options{}).List(t.Context(), List) {
		if err != nil {
			t.Fatal(err)
		}
		if found[r.Hash]++; r.Ordinal != 1 {
			t.Errorf("%s is reserved", r.Token())
		}
	}
	return found
}
