package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry"
	"permalink-milter/registry/boltreg"
	"permalink-milter/registry/boltreg/salvage"
	"permalink-milter/registry/redisreg/redistest"
)

// variety has reservations of every kind: gaps, expiries to come and past,
// what is archived with and without a subject.
func variety(i int) (all []registry.Reservation) {
	hash, _ := hashheader.Algorithms[i%len(hashheader.Algorithms)].Hash(fmt.Append(nil, i))
	r := registry.Reservation{List: fmt.Sprintf("list%d@lists.example.org", i%7), Hash: hash, Ordinal: 1 + i%5, State: registry.Reserved,
		Identity: hashheader.Identity{byte(i), byte(i >> 8), 1}, Since: time.Unix(1764000000+int64(i), 0).UTC()}
	if i%3 == 0 {
		r.Expires = r.Since.Add(time.Duration(i-300) * 24 * time.Hour)
	}
	last := r
	last.Ordinal, last.Identity[2], last.State, last.Expires = 40, 2, registry.Archived, time.Time{}
	last.URL = "https://a.example/" + hash
	if i%2 == 0 {
		last.Subject = "<Größe> & \x1b[31m" + strings.Repeat("s", i%200)
	}
	return []registry.Reservation{r, last}
}

// fillRegistry makes a file with n hashes.
func fillRegistry(t *testing.T, n int) (url string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "r.db")
	store, err := boltreg.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for i := range n {
		if _, err := registry.Restore(context.Background(), store, variety(i)); err != nil {
			t.Fatal(err)
		}
	}
	return "bolt:" + file
}

// entries returns all that a file holds, as it is stored.
func entries(t *testing.T, url string) map[registry.Key]string {
	t.Helper()
	all := make(map[registry.Key]string)
	for r, err := range salvage.Read(strings.TrimPrefix(url, "bolt:")) {
		if err != nil {
			t.Fatal(err)
		}
		all[r.Key] = fmt.Sprintf("%x", r.Entry.AppendBinary(nil))
	}
	return all
}

// runRegistry runs a verb that must end with a code.
func runRegistry(t *testing.T, want int, in string, args ...string) (out, errs string) {
	t.Helper()
	code, out, errs := permalink(t, strings.NewReader(in), append([]string{"registry"}, args...)...)
	if code != want {
		t.Fatalf("%v: exit %d: %s%s", args, code, out, errs)
	}
	return out, errs
}

func newFile(t *testing.T) string { return "bolt:" + filepath.Join(t.TempDir(), "state", "new.db") }

func TestExportAndImportLoseNothing(t *testing.T) {
	from, to := fillRegistry(t, 300), newFile(t)
	saved, _ := runRegistry(t, exitOK, "", "export", "--registry", from)
	out, _ := runRegistry(t, exitOK, saved, "import", "--registry", to)
	if out != "600 restored, 0 there already; 0 problems\n" {
		t.Error(out)
	}
	if diff := cmp.Diff(entries(t, from), entries(t, to)); diff != "" {
		t.Error(diff)
	}
	if out, _ = runRegistry(t, exitOK, saved, "import", "--registry", to); out != "0 restored, 600 there already; 0 problems\n" {
		t.Errorf("again: %s", out)
	}
	if again, _ := runRegistry(t, exitOK, "", "export", "--registry", to); again != saved {
		t.Error("the export of what was imported differs")
	}
}

func TestCopyToRedisAndBackLosesNothing(t *testing.T) {
	need.Program(t, "redis-server", "redis-server redis-tools")
	server, err := redistest.Start(t.TempDir(), "--requirepass", "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	dir := t.TempDir()
	config, redis := filepath.Join(dir, "config.toml"), "redis://"+server.Addr()
	os.WriteFile(filepath.Join(dir, "password"), []byte("secret\n"), 0o600)
	os.WriteFile(config, fmt.Appendf(nil, "[registry]\nurl = %q\npassword_file = %q\n", redis, filepath.Join(dir, "password")), 0o600)

	from, back := fillRegistry(t, 300), newFile(t)
	for _, want := range []string{"600 restored, 0 there already; 0 problems\n", "0 restored, 600 there already; 0 problems\n"} {
		if out, _ := runRegistry(t, exitOK, "", "copy", "--config", config, from, redis); out != want {
			t.Errorf("%s, want %s", out, want)
		}
	}
	if out, _ := runRegistry(t, exitOK, "", "check", "--config", config); !strings.Contains(out, "is sound: 300 hashes, 300 reserved, 300 archived") {
		t.Error(out)
	}
	runRegistry(t, exitOK, "", "copy", "--config", config, redis, back)
	if diff := cmp.Diff(entries(t, from), entries(t, back)); diff != "" {
		t.Error(diff)
	}
	server.Stop()
	for _, args := range [][]string{{"copy", "--config", config, from, redis}, {"copy", "--config", config, redis, back}, {"check", "--config", config}, {"export", "--config", config}} {
		runRegistry(t, exitTemporary, "", args...)
	}
}

func TestADamagedRegistryIsRepaired(t *testing.T) {
	page := os.Getpagesize()
	for name, damage := range map[string]func(b, hash []byte) []byte{
		// Where bbolt puts pages is up to it: the last one with an entry goes.
		"cut off": func(b, hash []byte) []byte {
			last := 0
			for i := range 300 {
				last = max(last, bytes.LastIndex(b, []byte(variety(i)[0].Hash)))
			}
			return b[:last/page*page]
		},
		"pages wiped": func(b, hash []byte) []byte { // of which one counts, and others are older
			for at := bytes.Index(b, hash); at >= 0; at = bytes.Index(b, hash) {
				at = at / page * page
				clear(b[at : at+page])
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			url := fillRegistry(t, 300)
			file := strings.TrimPrefix(url, "bolt:")
			whole := entries(t, url)
			backup, _ := runRegistry(t, exitOK, "", "export", "--registry", url)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(data, []byte(variety(150)[0].Hash)), 0o600); err != nil {
				t.Fatal(err)
			}
			out, errs := runRegistry(t, exitFailed, "", "check", "--registry", url)
			if !strings.Contains(errs, "damaged registry file: page ") || !strings.Contains(out, "  permalink registry export --registry "+url+" > saved.jsonl\n") {
				t.Errorf("%s%s", out, errs)
			}
			saved, _ := runRegistry(t, exitFailed, "", "export", "--registry", url)
			if err := os.Rename(file, file+".damaged"); err != nil {
				t.Fatal(err)
			}
			runRegistry(t, exitOK, saved, "import", "--registry", url)
			// A page that was cut off may have an older copy, which is saved.
			if n := len(entries(t, url)); n == 0 || n == 300 && name != "cut off" {
				t.Errorf("%d of 300 hashes were saved", n)
			}
			runRegistry(t, exitOK, backup, "import", "--registry", url)
			if diff := cmp.Diff(whole, entries(t, url)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestInterruptedRegistryVerbsSaySo(t *testing.T) {
	from := fillRegistry(t, 30)
	saved, _ := runRegistry(t, exitOK, "", "export", "--registry", from)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"copy", from, newFile(t)}, {"import", "--registry", newFile(t)}} {
		var out, errs strings.Builder
		code := run(ctx, append([]string{"registry"}, args...), stdio{strings.NewReader(saved), &out, &errs})
		if code != exitTemporary || !strings.Contains(errs.String(), "run it again to go on") {
			t.Errorf("%v: exit %d: %s", args, code, &errs)
		}
	}
}

// What was not done for all messages of a mailbox or a registry is no success.
func TestInterruptedVerbsFail(t *testing.T) {
	reg := fillRegistry(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{{"hash", "-"}, {"lookup", "--registry", reg, "-"}, {"release", "--registry", reg, "-"},
		{"confirm", "--registry", reg, "--url", "https://a.example/1", "-"},
		{"registry", "check", "--registry", reg}, {"registry", "export", "--registry", reg}} {
		var out, errs strings.Builder
		code := run(ctx, args, stdio{strings.NewReader(importMbox(10)), &out, &errs})
		if code != exitTemporary || !strings.Contains(errs.String(), "interrupted") {
			t.Errorf("%v: exit %d: %s", args, code, &errs)
		}
	}
}

// What names no store is a usage error of every verb.
func TestANameThatIsNoStoreIsAUsageError(t *testing.T) {
	for _, url := range []string{"/var/lib/p.db", "http://x", "memory:", "bolt:"} {
		for _, args := range [][]string{{"check", "--registry", url}, {"export", "--registry", url}, {"prune", "--registry", url}, {"copy", url, "bolt:b.db"}} {
			if _, errs := runRegistry(t, exitUsage, "", args...); !strings.Contains(errs, "write bolt:FILE") {
				t.Errorf("%v: %s", args, errs)
			}
		}
	}
}
