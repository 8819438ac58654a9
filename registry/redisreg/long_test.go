package redisreg_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
)

// A counted connection adds what it reads to a sum.
type counted struct {
	net.Conn
	read *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// Whoever may write to Redis can put 512 MB into a field, or make a field of as
// much. None of it reaches this process, and what stands beside it is found.
func TestALongValueStaysInRedis(t *testing.T) {
	t.Parallel()
	s := server(t)
	var read atomic.Int64
	store, err := redisreg.OpenThrough(redisreg.Options{URL: "redis://" + s.Addr(), KeyPrefix: "permalink:", Timeout: 10 * time.Second},
		func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, addr)
			return counted{c, &read}, err
		})
	must(t, err)
	reg := registry.New(store, registry.Options{})
	t.Cleanup(func() { reg.Close() })
	for _, name := range []string{list, "beside@lists.example.org"} {
		_, err := reg.Reserve(t.Context(), registry.Request{List: name, Hash: hash})
		must(t, err)
	}
	command(t, s, "eval", `for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
	if field:find(ARGV[1], 1, true) == 1 then redis.call('HSET', KEYS[1], field, string.rep('\1', 50000000)) end
end
redis.call('HSET', KEYS[1], string.rep('f', 50000000), '\1')`, "1", "permalink:v1:{faad}", list)

	_, looked := reg.Lookup(t.Context(), list, hash)
	_, reserved := reg.Reserve(t.Context(), registry.Request{List: list, Hash: hash, Identity: identity})
	for _, err := range []error{looked, reserved} {
		if !errors.Is(err, registry.ErrCorrupt) || errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "permalink:v1:{faad}") {
			t.Errorf("a long value: %v", err)
		}
	}
	stats, err := reg.Stats(t.Context())
	if want := (registry.Stats{Lists: 1, Hashes: 1, Reserved: 1, Unreadable: 2}); err != nil || stats != want {
		t.Errorf("%+v, %v; want %+v", stats, err, want)
	}
	for r, err := range reg.List(t.Context(), list) {
		if !errors.Is(err, registry.ErrCorrupt) || r.List != list {
			t.Errorf("listed %v, %v", r, err)
		}
	}
	// Of the 65,536 buckets each scan takes some bytes.
	if read.Load() > 10_000_000 {
		t.Errorf("%d bytes were read", read.Load())
	}
}

// The longest entry that the rules can make is not taken for a long value.
func TestTheLongestEntryIsRead(t *testing.T) {
	t.Parallel()
	s := server(t)
	store := open(t, redisreg.Options{URL: "redis://" + s.Addr()})
	slot := registry.Slot{State: registry.Archived, Identity: identity, Body: registry.Body{1}, Since: 253402300799, Expires: 253402300799,
		URL: "https://a.example/" + strings.Repeat("u", 1982), Subject: strings.Repeat("s", 300)}
	var longest registry.Entry
	for range hashheader.MaxOrdinal {
		longest.Slots = append(longest.Slots, slot)
	}
	if n := len(longest.AppendBinary(nil)); n != registry.MaxEncoded {
		t.Errorf("the longest entry has %d bytes, MaxEncoded is %d", n, registry.MaxEncoded)
	}
	key := registry.Key{List: list, Hash: hash}
	for _, slots := range [][]registry.Slot{longest.Slots, longest.Slots[:1]} {
		must(t, store.Update(t.Context(), key, func(registry.Entry) (registry.Entry, bool) { return registry.Entry{Slots: slots}, true }))
		e, err := store.Get(t.Context(), key)
		if err != nil || len(e.Slots) != len(slots) || e.Slots[0] != slot {
			t.Errorf("%d of %d slots, %v", len(e.Slots), len(slots), err)
		}
		n := 0
		for rec, err := range store.Scan(t.Context(), list) {
			must(t, err)
			n += len(rec.Entry.Slots)
		}
		if n != len(slots) {
			t.Errorf("a scan found %d of %d slots", n, len(slots))
		}
	}
}
