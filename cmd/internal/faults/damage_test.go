package faults

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// change rewrites a file.
func change(t *testing.T, name string, how func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, how(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDaemonRefusesADamagedRegistryFile(t *testing.T) {
	whole := begin(t, "")
	whole.under(t, func() {})
	if err := whole.Stop(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(whole.bolt())
	if err != nil {
		t.Fatal(err)
	}
	for what, harm := range map[string]func([]byte) []byte{
		"empty":                 func([]byte) []byte { return nil },
		"cut in half":           func(b []byte) []byte { return b[:len(b)/2] },
		"of text":               func([]byte) []byte { return []byte(strings.Repeat("hash,list\n", 2000)) },
		"with zeros in a page":  clearRoot,
		"with flipped bits":     func(b []byte) []byte { return flip(b) },
		"without its meta data": func(b []byte) []byte { clear(b[:8192]); return b },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s := prepare(t)
			err := os.Mkdir(s.state(), 0o700)
			if err == nil {
				err = os.WriteFile(s.bolt(), harm(append([]byte(nil), data...)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			s.refuses(t, "", s.bolt(), "damaged registry file", "permalink registry check", "exit status 69")
		})
	}
}

// clearRoot overwrites the page at the root of the tree, which is one that is in use: bbolt's meta pages are the first
// two, the one with the higher transaction id counts, and the root is the first number behind the flags.
func clearRoot(b []byte) []byte {
	const rootAt, txAt = 16 + 16, 16 + 48
	page := os.Getpagesize()
	meta := b[:page]
	if newer := b[page : 2*page]; binary.NativeEndian.Uint64(newer[txAt:]) > binary.NativeEndian.Uint64(meta[txAt:]) {
		meta = newer
	}
	clear(b[int(binary.NativeEndian.Uint64(meta[rootAt:]))*page:][:page])
	return b
}

// flip flips a bit in the header of each page but those of the meta data.
func flip(b []byte) []byte {
	for at := 2 * os.Getpagesize(); at < len(b); at += os.Getpagesize() {
		b[at+10] ^= 2
	}
	return b
}

// A registry file that is cut under the daemon costs no message: what cannot be reserved is journalled. With a new
// file the journal is replayed, around the record that the disk has damaged meanwhile.
func TestRegistryFileAndJournalAreDamagedUnderTheDaemon(t *testing.T) {
	s := begin(t, "")
	var before int64
	s.under(t, func() {
		before = s.load.Counts().Sent
		if err := os.Truncate(s.bolt(), 0); err != nil {
			t.Error(err)
		}
		s.logged(t, "no longer waited for")
		s.logged(t, s.bolt()+": damaged registry file")
	})
	if c := s.load.Counts(); c.Stamped != c.Sent || c.Broken+c.Deferred > 0 {
		t.Errorf("%+v", c)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	segments, err := filepath.Glob(filepath.Join(s.state(), "journal", "*.journal"))
	if err != nil || len(segments) != 1 {
		t.Fatalf("%q, %v", segments, err)
	}
	change(t, segments[0], func(b []byte) []byte { b[200] ^= 1; return append(b, "torn"...) })
	if err := os.Rename(s.bolt(), s.bolt()+".damaged"); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(limit(t)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the journal is damaged", "the journal's last write was torn", "the journal is replayed"} {
		s.logged(t, want)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	// 8 messages were under way at the cut, and the damage took one.
	if n, sent := int64(len(reserved(t, s.bolt()))), s.load.Counts().Sent; n < sent-before-8-1 || n > sent-1 {
		t.Errorf("%d reservations of the %d messages after the damage", n, sent-before)
	}
}
