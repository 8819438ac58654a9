package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smallDisk gives the daemon a state directory of 2 MiB in a mount namespace of its own, which ends with it.
const smallDisk = "mkdir -p DIR/state\nexec unshare -m sh -c 'mount -t tmpfs -o size=2m tmpfs DIR/state && exec \"$@\"' sh"

// fillUp takes all room of the daemon's state directory; the function that it returns gives it back.
func (s *site) fillUp(t *testing.T) (free func()) {
	t.Helper()
	name := filepath.Join(s.inside(), s.state(), "ballast")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

func copyFile(t *testing.T, from string) (to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	to = filepath.Join(t.TempDir(), "copy.db")
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func TestDiskFull(t *testing.T) {
	for _, mode := range []string{"stamp", "tempfail", "accept"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := begin(t, smallDisk, "registry.on_failure = \""+mode+"\"")
			s.load.Unmarked = mode == "accept"
			s.under(t, func() {
				free := s.fillUp(t)
				s.logged(t, "no space left on device")
				s.logged(t, "no longer waited for")
				if mode != "tempfail" {
					s.through(t, 200)
				}
				free()
				s.recovers(t)
			})
			c := s.load.Counts()
			if c.Broken > 0 || (c.Deferred > 0) != (mode == "tempfail") || (c.Unmarked > 0) != (mode == "accept") {
				t.Errorf("%+v", c)
			}
			time.Sleep(100 * time.Millisecond) // the file rests
			found := int64(len(reserved(t, copyFile(t, filepath.Join(s.inside(), s.bolt())))))
			if found > c.Sent || mode == "tempfail" && found != c.Sent {
				t.Errorf("%d reservations, %+v", found, c)
			}
			if strings.Contains(s.Stderr(), "panic") {
				t.Error("a panic")
			}
		})
	}
}

// recovers waits until messages are reserved in the registry again.
func (s *site) recovers(t *testing.T) {
	t.Helper()
	const reservations = `permalink_milter_reservations_total{outcome="reserved"}`
	count := func() int64 {
		n, err := metric(limit(t), s.metrics, reservations)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	was := count()
	until(t, "reservations", func() bool { return count() > was+100 })
}

func TestStateDirectoryThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct{ name, wrapper, want string }{
		{"a file system mounted read-only", "mkdir -p DIR/state\nexec unshare -m sh -c 'mount -t tmpfs -o ro tmpfs DIR/state && exec \"$@\"' sh", "read-only file system"},
		{"a directory of another user", "mkdir -m 700 DIR/state\nexec setpriv --reuid=nobody --regid=nogroup --clear-groups", "permission denied"},
		{"a directory above it of another user", "exec setpriv --reuid=nobody --regid=nogroup --clear-groups", "permission denied"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := prepare(t)
			s.refuses(t, c.wrapper, c.want, s.state(), "exit status 69")
		})
	}
}

// refuses wants the daemon not to start, and to say all this.
func (s *site) refuses(t *testing.T, wrapper string, want ...string) {
	t.Helper()
	d, err := s.start(t, wrapper)
	if err == nil {
		d.Kill()
		t.Fatal("it starts")
	}
	for _, text := range want {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("no %q in: %v", text, err)
		}
	}
}
