package lmtp

import (
	"os"
	"path/filepath"
	"testing"
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
	return parcel{message: m, to: a, list: devel, hostname: "h"}
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
