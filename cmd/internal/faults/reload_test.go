package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"permalink-milter/milter/mtatest/need"
)

const otherURL = "https://b.example/load/"

// Under a storm of signals, with good files, another good one and bad ones, each message is stamped by one of the good
// ones as a whole.
func TestStormOfReloads(t *testing.T) {
	s := begin(t, "", "log.level = \"error\"")
	s.load.Others = []string{otherURL}
	good, err := os.ReadFile(s.file())
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(good), string(good) + "nonsense = true\n", strings.ReplaceAll(string(good), URL, otherURL), "[[archive", strings.ReplaceAll(string(good), "level = \"error\"", "level = \"loud\"")}
	var first, last Sample
	s.under(t, func() {
		first = s.sample(t)
		for i := range 3000 {
			if i%10 == 0 {
				s.write(t, texts[i/10%len(texts)])
			}
			if err := s.Reload(); err != nil {
				t.Error(err)
			}
			time.Sleep(500 * time.Microsecond)
		}
		last = s.sample(t)
	})
	if last.Memory > first.Memory*3/2+8<<20 || last.Goroutines > first.Goroutines+10 || last.Descriptors > first.Descriptors+10 {
		t.Errorf("grew from %+v to %+v", first, last)
	}
	if c := s.load.Counts(); c.Broken+c.Deferred > 0 {
		t.Errorf("%+v", c)
	}
	if n, other := strings.Count(s.Stderr(), "not reloaded"), s.load.other.Load(); n < 50 || other < 50 || other > s.load.Counts().Sent-50 {
		t.Errorf("%d reloads failed, %d messages were stamped by the other file: no storm", n, other)
	}
}

func (s *site) sample(t *testing.T) Sample {
	t.Helper()
	one, err := Take(limit(t), s.PID(), s.metrics)
	if err != nil {
		t.Error(err)
	}
	return one
}

func TestConfigurationFileThatIsGoneAtAReload(t *testing.T) {
	s := begin(t, "")
	s.under(t, func() {
		if err := os.Rename(s.file(), s.file()+".gone"); err != nil {
			t.Error(err)
		}
		if err := s.Reload(); err != nil {
			t.Error(err)
		}
		s.logged(t, "configuration not reloaded, the old one stays in force")
		s.logged(t, "no such file or directory")
	})
}

// Without descriptors no connection is accepted, and the log says so; those that are there go on, and with room again
// all go on.
func TestDescriptorsRunOut(t *testing.T) {
	s := begin(t, "")
	established, err := connect(s.load.Network, s.load.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer established.close()
	limitFiles(t, s, s.sample(t).Descriptors+3)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.load.Run(ctx, 16, patience) }()
	s.logged(t, "too many open files")
	for i := range 100 {
		id := fmt.Sprintf("established%d@example.org", i)
		fields, err := established.message(id)
		if err == nil {
			err = s.load.check(id, fields)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	limitFiles(t, s, 1000)
	s.through(t, 500)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if c := s.load.Counts(); c.Stamped != c.Sent || c.Broken+c.Deferred > 0 {
		t.Errorf("%+v", c)
	}
}

// limitFiles sets how many descriptors the daemon may have; those beyond stay open.
func limitFiles(t *testing.T, s *site, n int64) {
	t.Helper()
	out, err := exec.Command(need.Program(t, "prlimit", "util-linux"), fmt.Sprintf("--pid=%d", s.PID()), fmt.Sprintf("--nofile=%d:1000", n)).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func TestAddressesThatCannotBeHad(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	lmtp := "[[lmtp.domain]]\ndomain = \"a.example\"\nlist = \"" + List + "\"\ndeliver = \"maildir:DIR/mail\""
	long := "/tmp/" + strings.Repeat("x", 120)
	for _, c := range []struct{ key, address, more, want string }{
		{"http.listen", taken.Addr().String(), "", "address already in use"},
		{"lmtp.listen", taken.Addr().String(), lmtp, "address already in use"},
		{"lmtp.listen", "unix:" + long, lmtp, "at most 107 bytes"},
		{"http.listen", "unix:/no/such/folder/socket", "", "no such file or directory"},
	} {
		t.Run(c.key+" at "+c.address[:min(20, len(c.address))], func(t *testing.T) {
			t.Parallel()
			s := prepare(t, fmt.Sprintf("%s = %q", c.key, c.address), strings.ReplaceAll(c.more, "DIR", t.TempDir()))
			s.refuses(t, "", c.key, c.address, c.want, "exit status 69")
			if _, err := os.Stat(s.load.Addr); err == nil {
				t.Error("the milter's socket is left behind")
			}
		})
	}
	t.Run("an MTA never finds a daemon that does not start", func(t *testing.T) {
		s := prepare(t, fmt.Sprintf("http.listen = %q", taken.Addr()))
		change(t, s.file(), func(b []byte) []byte {
			return []byte(strings.Replace(string(b), s.load.Addr, "/no/such/folder/socket", 1))
		})
		s.refuses(t, "", "http.listen", "exit status 69")
	})
	t.Run("admin.listen", func(t *testing.T) {
		s := prepare(t)
		change(t, s.file(), func(b []byte) []byte {
			port := strings.TrimPrefix(strings.TrimSuffix(s.metrics, "/metrics"), "http://")
			return []byte(strings.Replace(string(b), port, taken.Addr().String(), 1))
		})
		s.refuses(t, "", "admin.listen", taken.Addr().String(), "address already in use", "exit status 69")
	})
}
