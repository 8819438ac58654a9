package lmtp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// aParcel is Alice's message on its way to devel's archive.
func aParcel(t *testing.T) parcel {
	t.Helper()
	m, err := readMessage(&spool{head: []byte(message1(aliceID))}, []string{"message-id", "date"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := ParseAddress(hash + "@archive.example.org")
	if err != nil {
		t.Fatal(err)
	}
	return parcel{&Domain{List: devel}, m, a, "h"}
}

// deliverNow takes all the steps.
func deliverNow(t *testing.T, d Delivery, p parcel) error {
	ready, err := d.stage(p)
	if err != nil {
		return err
	}
	return ready.deliver(t.Context())
}

// The reader of a Maildir may be another user than the server, with fewer
// rights: a link must not make the server write in that user's stead.
func TestFolderThatIsSwappedForALink(t *testing.T) {
	for _, dir := range []string{"tmp", "new", "pending"} {
		for step := range steps {
			if step == "settle" {
				continue
			}
			t.Run(dir+" before "+step, func(t *testing.T) {
				outside := t.TempDir()
				m := &maildir{path: t.TempDir()}
				t.Cleanup(m.close)
				if err := m.prepare(); err != nil {
					t.Fatal(err)
				}
				m.before = func(at string) error {
					if at != step {
						return nil
					}
					if err := os.Rename(filepath.Join(m.path, dir), filepath.Join(m.path, "moved")); err != nil {
						return err
					}
					return os.Symlink(outside, filepath.Join(m.path, dir))
				}
				deliverNow(t, m, aParcel(t)) // whether it works is another matter
				if files, err := os.ReadDir(outside); err != nil || len(files) > 0 {
					t.Errorf("written outside of the Maildir: %v, %v", files, err)
				}
			})
		}
	}
}

func TestTemporaryFileThatIsSwapped(t *testing.T) {
	for step, at := range map[string]string{"stage": "tmp", "mark": "pending", "deliver": "pending"} {
		m := &maildir{path: t.TempDir()}
		t.Cleanup(m.close)
		if err := m.prepare(); err != nil {
			t.Fatal(err)
		}
		p := aParcel(t)
		swap := true
		m.before = func(now string) error {
			if now != step || !swap {
				return nil
			}
			swap = false
			file := filepath.Join(m.path, at, p.name())
			if err := os.Rename(file, file+".x"); err != nil {
				return err
			}
			return os.WriteFile(file, []byte("another"), 0o600)
		}
		if err := deliverNow(t, m, p); err == nil {
			t.Errorf("before %s: another file is delivered", step)
		}
		if err := deliverNow(t, m, p); err != nil {
			t.Errorf("before %s: the next try: %v", step, err)
		}
		if got := stored(t, m.path); len(got) != 1 || got[0] == "another" {
			t.Errorf("before %s: delivered %q", step, got)
		}
	}
}

func TestFoldersThatAreLinksAreRefused(t *testing.T) {
	for _, dir := range []string{"tmp", "new", "pending"} {
		m := &maildir{path: t.TempDir()}
		if err := os.Symlink(t.TempDir(), filepath.Join(m.path, dir)); err != nil {
			t.Fatal(err)
		}
		if err := m.prepare(); err == nil {
			t.Errorf("%s is a link, and is taken", dir)
		}
	}
}

// The owner of one Maildir must not keep the server, with all that runs beside
// it, from starting, nor mail from other lists.
func TestMaildirThatItsOwnerSpoils(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"a file in its place": func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
		"a link for a folder": func(dir string) error {
			return errors.Join(os.Mkdir(dir, 0o700), os.Symlink(t.TempDir(), filepath.Join(dir, "new")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(o *Options) {
				dir := filepath.Join(t.TempDir(), "Maildir")
				o.Domains[1].Delivery = &maildir{path: dir}
				if err := spoil(dir); err != nil {
					t.Fatal(err)
				}
			})
			c := s.dial(t)
			c.begin(t, "a@example.org")
			c.talk("RCPT TO:<"+hash+"+users@archive.example.org>", "RCPT TO:<"+hash+"+devel@archive.example.org>", "DATA")
			expect(t, c.talk(long(200<<10) + ".")[0], "451 4.3.0 ")
			expect(t, c.reply(), "250 2.1.5 ")
		})
	}
}

func TestMaildirThatIsMendedIsUsed(t *testing.T) {
	m := &maildir{path: filepath.Join(t.TempDir(), "Maildir")}
	t.Cleanup(m.close)
	if err := os.WriteFile(m.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := deliverNow(t, m, aParcel(t)); err == nil {
		t.Error("delivered to a file")
	}
	if err := os.Remove(m.path); err != nil {
		t.Fatal(err)
	}
	if err := deliverNow(t, m, aParcel(t)); err != nil || len(stored(t, m.path)) != 1 {
		t.Errorf("%v, delivered: %q", err, stored(t, m.path))
	}
}

func TestPendingThatIsFullOfOtherThings(t *testing.T) {
	m, p := &maildir{path: t.TempDir()}, aParcel(t)
	t.Cleanup(m.close)
	pending := filepath.Join(m.path, "pending")
	if err := errors.Join(m.prepare(), os.MkdirAll(filepath.Join(pending, "folder", "full"), 0o700)); err != nil {
		t.Fatal(err)
	}
	m.sweep(time.Now().Add(time.Hour)) // which cannot remove it
	if m.unsettled(devel, p.to.Token()) {
		t.Error("there is no mark")
	}
	for n := range maxPending + 10 {
		if err := os.WriteFile(filepath.Join(pending, fmt.Sprint(n)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if names, err := m.pending.names(maxPending); err != nil || len(names) != maxPending {
		t.Errorf("%d names are read, %v", len(names), err)
	}
	if !m.unsettled(devel, p.to.Token()) {
		t.Error("there may be a mark among those that were not looked at")
	}
	if err := deliverNow(t, m, p); err != nil || len(stored(t, m.path)) != 1 {
		t.Errorf("%v, delivered: %q", err, stored(t, m.path))
	}
}
