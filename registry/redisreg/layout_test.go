package redisreg_test

import (
	"encoding/hex"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/registrytest"
)

const (
	list = "devel@lists.example.org"
	hash = "7KWUTBTOSSMPYFYZ6UUJ46QCNE" // faad49866e9498fc1719f5289e7a0269
)

var identity = hashheader.Identity{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// The layout is for other languages too: it may not change.
func TestLayoutIsTheGolden(t *testing.T) {
	t.Parallel()
	s := server(t)
	clock := func() time.Time { return time.Unix(1779003632, 0) }
	reg := registry.New(open(t, redisreg.Options{URL: "redis://" + s.Addr()}), registry.Options{Now: clock})
	for _, id := range []hashheader.Identity{identity, {}} {
		_, err := reg.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: id})
		must(t, err)
	}
	_, err := reg.Confirm(t.Context(), registry.Confirmation{List: list, Token: hash + "-2", URL: "https://a.example/ü", Subject: "Grüße"})
	must(t, err)

	const golden = "01" +
		"01" + "000102030405060708090a0b0c0d0e0f" + "f0e1a5d006" +
		"1a" + "00000000000000000000000000000000" + "f0e1a5d006" + "14" + "68747470733a2f2f612e6578616d706c652fc3bc" + "07" + "4772c3bcc39f65"
	key := "permalink:v1:{faad}"
	if got := command(t, s, "keys", "*"); got != key {
		t.Errorf("keys %q, want %q", got, key)
	}
	// As an argument of redis-cli the field cannot hold NUL, so a script says it.
	got := command(t, s, "eval", `local function hex(s) return (s:gsub('.', function(c) return string.format('%02x', c:byte()) end)) end
local all = redis.call('HGETALL', KEYS[1])
return hex(all[1]) .. ' ' .. hex(all[2])`, "1", key)
	if want := hex.EncodeToString([]byte(list)) + "00" + "faad49866e9498fc1719f5289e7a0269 " + golden; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}

	for token, want := range map[string]string{
		hash:        "reserved 000102030405060708090a0b0c0d0e0f 1779003632 0",
		hash + "-2": "archived 00000000000000000000000000000000 1779003632 0 https://a.example/ü Grüße",
	} {
		cmd := exec.Command(need.Program(t, "python3", "python3"), "testdata/read.py", "127.0.0.1", strconv.Itoa(s.Port), "permalink:", list, token)
		cmd.Env = append(cmd.Environ(), "PYTHONIOENCODING=utf-8")
		out, err := cmd.CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("python reads %q, want %q: %v", got, want, err)
		}
	}
}

func TestHashesOfEveryAlgorithmComeBackFromAScan(t *testing.T) {
	t.Parallel()
	store := open(t, redisreg.Options{URL: "redis://" + server(t).Addr()})
	reg := registry.New(store, registry.Options{})
	want := make(map[string]bool)
	// A star and a question mark are a list's own, not a pattern.
	for _, name := range []string{"d*l@lists.example.org", "d?el@lists.example.org", list} {
		for _, a := range hashheader.Algorithms {
			hash, err := a.Hash([]byte("abc@example.org"))
			must(t, err)
			_, err = reg.Reserve(t.Context(), registry.Request{List: name, Hash: hash})
			must(t, err)
			want[name+" "+hash] = true
		}
	}
	for _, name := range []string{"", "d*l@lists.example.org", "d?el@lists.example.org", list} {
		got := 0
		for r, err := range reg.List(t.Context(), name) {
			must(t, err)
			if !want[r.List+" "+r.Hash] || name != "" && r.List != name {
				t.Errorf("list %q: %s %s", name, r.List, r.Hash)
			}
			got++
		}
		if wanted := map[bool]int{true: 9, false: 3}[name == ""]; got != wanted {
			t.Errorf("list %q: %d reservations, want %d", name, got, wanted)
		}
	}
}

// A bucket that a flood has filled is read in parts.
func TestALargeBucketIsScannedWhole(t *testing.T) {
	t.Parallel()
	store := open(t, redisreg.Options{URL: "redis://" + server(t).Addr()})
	reg := registry.New(store, registry.Options{})
	const n = 3000
	for i := range n {
		_, err := reg.Reserve(t.Context(), registry.Request{List: fmt.Sprintf("l%d@lists.example.org", i), Hash: hash})
		must(t, err)
	}
	if stats, err := reg.Stats(t.Context()); err != nil || stats.Lists != n || stats.Reserved != n {
		t.Errorf("%+v, %v", stats, err)
	}
}

func TestWhatIsNoEntryIsNamed(t *testing.T) {
	t.Parallel()
	s := server(t)
	store := open(t, redisreg.Options{URL: "redis://" + s.Addr(), KeyPrefix: "mail:"})
	for setup, want := range map[string]string{
		"set mail:v1:{faad} x": "mail:v1:{faad} is not a registry's hash",
		"":                     "newer",
	} {
		command(t, s, "flushall")
		if setup != "" {
			command(t, s, strings.Fields(setup)...)
		} else {
			command(t, s, "eval", `return redis.call('HSET', KEYS[1], ARGV[1] .. '\000\250\173\073\134\110\148\152\252\023\025\245\040\158\122\002\105', '\2')`, "1", "mail:v1:{faad}", list)
		}
		reg := registry.New(store, registry.Options{})
		_, get := reg.Lookup(t.Context(), list, hash)
		_, update := reg.Reserve(t.Context(), registry.Request{List: list, Hash: hash})
		var scan error
		for _, err := range reg.List(t.Context(), "") {
			scan = err
		}
		for _, err := range []error{get, update, scan} {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "mail:v1:{faad}") {
				t.Errorf("%q: %v", setup, err)
			}
		}
	}
}

func TestAnUnreadableEntryHidesNoOther(t *testing.T) {
	t.Parallel()
	s := server(t)
	store := open(t, redisreg.Options{URL: "redis://" + s.Addr()})
	registrytest.Unreadable(t, store, func(store registry.Store, k registry.Key) registry.Store {
		command(t, s, "eval", `for _, f in ipairs(redis.call('HKEYS', KEYS[1])) do
	if f:sub(1, #ARGV[1]) == ARGV[1] then redis.call('HSET', KEYS[1], f, '\9newer') end
end`, "1", "permalink:v1:{faad}", k.List)
		return store
	})
}

// What a neighbour in the same Redis writes under our prefix hides no entry
// behind it, and neither ends a sweep nor is swept.
func TestASweepPassesOverWhatIsNoEntry(t *testing.T) {
	t.Parallel()
	s := server(t)
	store := open(t, redisreg.Options{URL: "redis://" + s.Addr()})
	then := time.Now().Add(-48 * time.Hour)
	old := registry.New(store, registry.Options{TTL: time.Hour, Now: func() time.Time { return then }})
	_, err := old.Reserve(t.Context(), registry.Request{List: list, Hash: hash})
	must(t, err)
	expired := `'\1\1' .. string.rep('\0', 16) .. '\1'` // reserved in 1970, for ever
	for key, script := range map[string]string{
		"permalink:v1:{0001}": `return redis.call('SET', KEYS[1], 'x')`,
		"permalink:v1:{0002}": `return redis.call('HSET', KEYS[1], 'no hash behind it', ` + expired + `)`,
		"permalink:v1:{0003}": `return redis.call('HSET', KEYS[1], 'a@b.example\0' .. string.rep('\9', 16), ` + expired + `)`, // another bucket's
		"permalink:v1:{0909}": `return redis.call('HSET', KEYS[1], 'A@\27[31m\0' .. string.rep('\9', 16), ` + expired + `)`,
		"permalink:v1:{fffe}": `return redis.call('HSET', KEYS[1], 'a@b.example\0' .. string.rep('\255', 16), string.rep('\9', 100000))`,
	} {
		command(t, s, "eval", script, "1", key)
	}
	swept, err := registry.Sweep{Expired: time.Now(), Since: time.Now()}.Run(t.Context(), store)
	if want := (registry.Swept{Seen: 1, Removed: 1, Unreadable: 5}); err != nil || swept != want {
		t.Errorf("swept %+v, %v; want %+v", swept, err, want)
	}
	if got := strings.Fields(command(t, s, "keys", "*")); len(got) != 5 {
		t.Errorf("keys left: %q", got)
	}
}
