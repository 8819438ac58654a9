package boltreg_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/boltreg/salvage"
)

// fill makes a registry file with n hashes, every third one archived, and
// returns its records.
func fill(t testing.TB, n int) (name string, records []registry.Record) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "permalinks.db")
	store, err := boltreg.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for i := range n {
		hash, _ := hashheader.MD5.Hash(fmt.Append(nil, i))
		r := registry.Reservation{List: "devel@lists.example.org", Hash: hash, Ordinal: 1, State: registry.Reserved,
			Identity: hashheader.Identity{byte(i)}, Since: time.Unix(1764000000, 0)}
		if i%3 == 0 {
			r.State, r.URL, r.Subject = registry.Archived, "https://lists.example.org/"+hash, strings.Repeat("s", i%300)
		}
		if _, err := registry.Restore(t.Context(), store, []registry.Reservation{r}); err != nil {
			t.Fatal(err)
		}
	}
	for r, err := range store.Scan(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return name, records
}

// inspect returns what salvage.Read yields.
func inspect(name string) (records []registry.Record, problems []error) {
	for r, err := range salvage.Read(name) {
		if err != nil {
			problems = append(problems, err)
			continue
		}
		records = append(records, r)
	}
	return records, problems
}

func TestSalvageReadsWhatTheStoreWrote(t *testing.T) {
	for _, n := range []int{0, 1, 3, 50, 700} { // from a bucket within its parent's page to a tree of pages
		name, want := fill(t, n)
		got, problems := inspect(name)
		if len(problems) > 0 || len(got) != len(want) {
			t.Errorf("%d hashes: %d records, %v", n, len(got), problems)
		}
		for i := range got {
			if got[i].Key != want[i].Key || !slices.Equal(got[i].Entry.Slots, want[i].Entry.Slots) {
				t.Errorf("%+v, want %+v", got[i], want[i])
			}
		}
	}
}

// damaged copies a file with a change.
func damaged(t testing.TB, name string, change func([]byte) []byte) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "broken.db")
	if err := os.WriteFile(broken, change(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return broken
}

func TestSalvageTellsTheDamage(t *testing.T) {
	name, all := fill(t, 700)
	distinct := func(records []registry.Record) int {
		keys := make(map[registry.Key]bool)
		for _, r := range records {
			keys[r.Key] = true
		}
		return len(keys)
	}
	page := os.Getpagesize()
	for _, c := range []struct {
		name   string
		change func([]byte) []byte
		want   string
		saved  func(int) bool
	}{
		{"a file that was cut off", func(b []byte) []byte { return b[:len(b)/2] }, "it was truncated", func(n int) bool { return n > 0 && n < len(all) }},
		{"an empty file", func([]byte) []byte { return nil }, "it is empty", func(n int) bool { return n == 0 }},
		{"another file", func([]byte) []byte { return bytes.Repeat([]byte("nonsense"), 9999) }, "its meta data cannot be read", func(n int) bool { return n == 0 }},
		{"a meta page of zeros", func(b []byte) []byte { clear(b[:page]); return b }, "one of its two meta pages", func(n int) bool { return n == len(all) }},
		{"the other meta page of zeros", func(b []byte) []byte { clear(b[page : 2*page]); return b }, "one of its two meta pages", func(n int) bool { return n == len(all) }},
		{"zeros in a page of entries", func(b []byte) []byte {
			at := bytes.LastIndex(b, []byte(all[350].Hash)) / page * page
			clear(b[at : at+page])
			return b
		}, "it has no valid header", func(n int) bool { return n > len(all)/2 && n < len(all) }},
		{"root pages without elements", func(b []byte) []byte {
			for at := 0; ; at += page {
				next := bytes.Index(b[at:], []byte("entries-v1"))
				if next < 0 {
					return b
				}
				at = (at + next) / page * page
				b[at+10], b[at+11] = 0, 0
			}
		}, "unreachable", func(n int) bool { return n == len(all) }},
		{"an entry's version from the future", func(b []byte) []byte {
			for at := 0; ; at++ { // freed pages have older copies
				next := bytes.Index(b[at:], []byte(all[350].Hash))
				if next < 0 {
					return b
				}
				at += next
				b[at+len(all[350].Hash)] = 9
			}
		}, "a newer permalink-milter wrote it", func(n int) bool { return n == len(all)-1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, problems := inspect(damaged(t, name, c.change))
			if n := distinct(got); !c.saved(n) {
				t.Errorf("%d of %d records", n, len(all))
			}
			if len(problems) == 0 || !errors.Is(problems[0], boltreg.ErrDamaged) || !strings.Contains(errors.Join(problems...).Error(), c.want) {
				t.Errorf("%v, want %q", problems, c.want)
			}
		})
	}
}

// Whatever one bit of a file is, salvage.Read ends, and what it does not tell to
// be damaged has all its entries.
func TestSalvageOutlivesEveryFlippedBit(t *testing.T) {
	name, all := fill(t, 60)
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	found := 0
	flips := 2000
	if testing.Short() {
		flips = 200
	}
	for range flips {
		// In the first bytes of a page: its header and elements, seldom a value.
		bit := 8*os.Getpagesize()*random.IntN(len(data)/os.Getpagesize()) + random.IntN(8*256)
		got, problems := inspect(damaged(t, name, func(b []byte) []byte { b[bit/8] ^= 1 << (bit % 8); return b }))
		if len(problems) == 0 && len(got) != len(all) {
			t.Errorf("bit %d: %d of %d records, and no damage is told", bit, len(got), len(all))
		}
		if len(problems) > 0 {
			found++
		}
	}
	if found < flips/10 {
		t.Errorf("%d of %d flipped bits were found", found, flips)
	}
}

func TestSalvageEndsWhenItsReaderDoes(t *testing.T) {
	name, _ := fill(t, 700)
	n := 0
	for range salvage.Read(damaged(t, name, func(b []byte) []byte { return b[:len(b)/2] })) {
		if n++; n == 3 {
			break
		}
	}
	if n != 3 {
		t.Errorf("%d", n)
	}
}

func TestSalvageLeavesAFileInUseAlone(t *testing.T) {
	name := filepath.Join(t.TempDir(), "permalinks.db")
	store, err := boltreg.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	if _, problems := inspect(name); len(problems) != 1 || !errors.Is(problems[0], boltreg.ErrInUse) {
		t.Errorf("%v", problems)
	}
}

func FuzzSalvage(f *testing.F) {
	name, _ := fill(f, 5)
	data, err := os.ReadFile(name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		inspect(damaged(t, name, func([]byte) []byte { return data }))
	})
}
