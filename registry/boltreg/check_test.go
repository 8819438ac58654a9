package boltreg_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/boltreg/filecheck"
)

// contents returns a file's bytes and those of its pages of a kind, which
// share memory with them.
func contents(t testing.TB, name string, kind byte) (data []byte, pages [][]byte) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for at := 2 * os.Getpagesize(); at < len(data); at += os.Getpagesize() {
		if data[at+8] == kind {
			pages = append(pages, data[at:at+os.Getpagesize()])
		}
	}
	return data, pages
}

// foreign makes a bbolt file of another program.
func foreign(t *testing.T) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "other.db")
	db, err := bbolt.Open(name, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("members"))
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	data, _ := contents(t, name, 0)
	return data
}

// rootPage returns the page at which the tree of the entries begins.
func rootPage(t *testing.T, name string) (id uint64) {
	t.Helper()
	db, err := bbolt.Open(name, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		id = uint64(tx.Bucket([]byte(filecheck.EntriesBucket)).RootPage())
		return nil
	})
	if err != nil || id == 0 {
		t.Fatalf("no root page: %v", err)
	}
	return id
}

func TestOpenRefusesADamagedFileAndTellsTheRepair(t *testing.T) {
	name, all := fill(t, 700)
	whole, _ := contents(t, name, 0)
	const branch, leaf, free = 1, 2, 16
	// each changes the pages of a kind; those that are not in use do not count.
	each := func(kind byte, change func(page []byte)) []byte {
		data, pages := contents(t, name, kind)
		for _, p := range pages {
			change(p)
		}
		return data
	}
	root := rootPage(t, name)
	const firstChild = 16 + 8 // where the first element of a branch page names a page
	for _, c := range []struct {
		name string
		data []byte
		want string
	}{
		{"an empty file", nil, "it is empty"},
		{"a file cut in its meta data", whole[:50], "its meta data cannot be read"},
		{"a file cut behind its meta data", whole[:2*os.Getpagesize()], "it was truncated"},
		{"a file cut in half", whole[:len(whole)/2], "it was truncated"},
		{"a file of text", bytes.Repeat([]byte("list,hash\n"), 5000), "its meta data cannot be read"},
		{"a bbolt file of another program", foreign(t), `"members" is not a bucket`},
		{"a tree that leads in a circle", each(branch, func(p []byte) { copy(p[firstChild:], p[:8]) }), "multiple references"},
		{"a branch with a changed key", each(branch, func(p []byte) { p[bytes.Index(p, []byte(all[0].List))+len(all[0].List)+1] = 'Z' }), "needs to be >= the key in the ancestor"},
		{"a branch with a smaller key than its page", each(branch, func(p []byte) { p[bytes.LastIndex(p, []byte(all[0].List+"\x00"))+len(all[0].List)+26]-- }), "but that begins with"},
		{"a list of free pages with one in use", each(free, func(p []byte) { binary.NativeEndian.PutUint64(p[16:], root) }), fmt.Sprintf("page %d: reachable freed", root)},
		{"pages that tell no elements", each(leaf, func(p []byte) { clear(p[10:12]) }), "unreachable"},
		{"pages with a longer element", each(leaf, func(p []byte) { p[16+12]++ }), "its pages hold"},
		{"a page that lost its last elements", each(leaf, func(p []byte) { p[10] -= min(p[10]-1, 3) }), "its pages hold"},
		{"a page of zeros", each(leaf, func(p []byte) { clear(p) }), "self identifies as 0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := damaged(t, name, func([]byte) []byte { return c.data })
			_, err := boltreg.Open(file)
			if !errors.Is(err, boltreg.ErrDamaged) {
				t.Fatalf("%v", err)
			}
			for _, want := range []string{c.want, file, "permalink registry check"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v, want %q", err, want)
				}
			}
			if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, c.data) {
				t.Errorf("the file was changed: %v", err)
			}
		})
	}
}

// A crash in mid-commit may tear the meta page that is written then; the other
// one has what was acknowledged.
func TestOpenTakesAFileWithOneTornMetaPage(t *testing.T) {
	name, all := fill(t, 60)
	for page := range 2 {
		file := damaged(t, name, func(b []byte) []byte { clear(b[page*os.Getpagesize()+16+30:][:20]); return b })
		store, err := boltreg.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(scan(t, store)); n < len(all)-1 || n > len(all)+3 {
			t.Errorf("meta page %d: %d of %d records", page, n, len(all))
		}
		store.Close()
	}
}

// Whatever was written, deleted and made longer, in whatever order, the file
// is one that Open takes.
func TestOpenTakesWhatAStoreLeaves(t *testing.T) {
	name := filepath.Join(t.TempDir(), "permalinks.db")
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 12 {
		store, err := boltreg.Open(name)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		var wg sync.WaitGroup
		for range 150 {
			hash, _ := hashheader.MD5.Hash(fmt.Append(nil, random.IntN(1500)))
			var next registry.Entry
			for ordinal := range random.IntN(3) * random.IntN(20) { // none for many: they are deleted
				next.Slots = append(next.Slots, registry.Slot{State: registry.Archived, Identity: hashheader.Identity{byte(ordinal)},
					URL: "https://a.example/", Subject: strings.Repeat("s", random.IntN(300))})
			}
			wg.Go(func() {
				err := store.Update(t.Context(), registry.Key{List: "a@b", Hash: hash}, func(registry.Entry) (registry.Entry, bool) { return next, true })
				if err != nil {
					t.Error(err)
				}
			})
			if random.IntN(3) == 0 {
				wg.Wait() // commits of one change and of many
			}
		}
		wg.Wait()
		store.Close()
		if _, problems := inspect(name); len(problems) > 0 {
			t.Fatalf("round %d: %v", round, problems)
		}
	}
}

// scan returns what can be read; it fails for an error that tells no damage.
func scan(t *testing.T, store registry.Store) (records []registry.Record) {
	t.Helper()
	for r, err := range store.Scan(t.Context(), "") {
		if err == nil {
			records = append(records, r)
		} else if !toldDamage(err) {
			t.Error(err)
		}
	}
	return records
}

func toldDamage(err error) bool {
	return errors.Is(err, registry.ErrUnavailable) && errors.Is(err, boltreg.ErrDamaged) || errors.Is(err, registry.ErrCorrupt)
}

// use does all that a store can do with each key. An error must be one of
// damage, and come in time. It returns how many there were.
func use(t *testing.T, store registry.Store, keys []registry.Record) (failed int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	reg := registry.New(store, registry.Options{})
	check := func(err error) {
		if err != nil {
			failed++
		}
		if err != nil && !toldDamage(err) {
			t.Error(err)
		}
	}
	for i, r := range keys {
		_, err := store.Get(ctx, r.Key)
		check(err)
		if i%(len(keys)/4+1) == 0 {
			_, err = reg.Reserve(ctx, registry.Request{List: r.List, Hash: r.Hash, Identity: hashheader.Identity{0xff, byte(i)}})
			check(err)
		}
	}
	scan(t, store)
	return failed
}

// Whatever a few changed bytes or a cut make of a file, it is refused, or
// serves as far as it can be read; and what is refused nowhere is all there.
func TestRandomDamageNeverEndsTheProcess(t *testing.T) {
	name, all := fill(t, 120)
	random := rand.New(rand.NewPCG(1, 2))
	refused, served := 0, 0
	files := 400
	if testing.Short() {
		files = 100
	}
	for range files {
		file := damaged(t, name, func(b []byte) []byte { return harm(random, b) })
		store, err := boltreg.Open(file)
		if err != nil {
			refused++
			if !errors.Is(err, boltreg.ErrDamaged) || !strings.Contains(err.Error(), file) {
				t.Error(err)
			}
			continue
		}
		served++
		if use(t, store, all) == 0 {
			if n := len(scan(t, store)); n < len(all)-1 || n > len(all)+3 { // a torn meta page takes the last commit along
				t.Errorf("%d of %d records, and no error", n, len(all))
			}
		}
		store.Close()
	}
	if refused < files/8 || served < files/8 {
		t.Errorf("%d refused, %d served", refused, served)
	}
}

// harm cuts a file, or flips bits, mostly in the first bytes of a page: its
// header and elements.
func harm(random *rand.Rand, b []byte) []byte {
	if random.IntN(10) == 0 {
		return b[:random.IntN(len(b))]
	}
	page := os.Getpagesize()
	for range 1 + random.IntN(3) {
		at := random.IntN(len(b))
		if random.IntN(2) == 0 {
			at = at/page*page + random.IntN(200)
		}
		b[at] ^= 1 << random.IntN(8)
	}
	return b
}

// A file that loses its end or its pages under an open store makes bbolt
// panic, or the kernel fault; both are errors, and the store can be closed.
func TestDamageUnderAnOpenStoreIsAnError(t *testing.T) {
	whole, all := fill(t, 700)
	for what, harm := range map[string]func(*os.File, int64) error{
		"cut to nothing":  func(f *os.File, _ int64) error { return f.Truncate(0) },
		"cut in half":     func(f *os.File, size int64) error { return f.Truncate(size / 2) },
		"zeroed":          func(f *os.File, size int64) error { return errors.Join(f.Truncate(0), f.Truncate(size)) },
		"zeroed from 16K": func(f *os.File, size int64) error { return errors.Join(f.Truncate(16<<10), f.Truncate(size)) },
	} {
		t.Run(what, func(t *testing.T) {
			name := damaged(t, whole, func(b []byte) []byte { return b })
			store, err := boltreg.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			file, err := os.OpenFile(name, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			info, err := file.Stat()
			if err == nil {
				err = harm(file, info.Size())
			}
			if err != nil {
				t.Fatal(err)
			}
			if use(t, store, all) == 0 {
				t.Error("no error told the damage")
			}
			_, err = store.Get(t.Context(), all[0].Key)
			if !toldDamage(err) || !strings.Contains(err.Error(), name) {
				t.Errorf("%v", err)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
			if _, err := boltreg.Open(name); !errors.Is(err, boltreg.ErrDamaged) {
				t.Errorf("opened again: %v", err)
			}
		})
	}
}
