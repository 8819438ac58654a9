package registry

import (
	"fmt"
	"testing"
	"time"

	"permalink-milter/hashheader"
)

// reserving returns a reservation that gets this ordinal, without its store:
// the entry of its hash is decoded, changed and encoded.
func reserving(t testing.TB, ordinal int) (reserve func()) {
	var e Entry
	now := time.Now()
	for n := range ordinal - 1 {
		e.Slots = append(e.Slots, Slot{State: Reserved, Identity: hashheader.Identity{1, byte(n), byte(n >> 8)}, Since: now.Unix()})
	}
	var stored []byte
	if ordinal > 1 {
		stored = e.AppendBinary(nil)
	}
	return func() {
		e, err := DecodeEntry(stored)
		next, got, _, _ := e.reserve(Request{Identity: hashheader.Identity{2}}, now, 0)
		if err != nil || got != ordinal {
			t.Fatal(got, err)
		}
		next.AppendBinary(nil)
	}
}

// The last of many messages of one hash makes no more slices than the second:
// none of them grows.
func TestAllocationsOfTheLastReservation(t *testing.T) {
	if got := testing.AllocsPerRun(50, reserving(t, hashheader.MaxOrdinal)); got > 8 {
		t.Errorf("%v allocations, more than 8", got)
	}
}

func BenchmarkReserve(b *testing.B) {
	for _, ordinal := range []int{1, 2, hashheader.MaxOrdinal} {
		b.Run(fmt.Sprint(ordinal), func(b *testing.B) {
			reserve := reserving(b, ordinal)
			b.ReportAllocs()
			for b.Loop() {
				reserve()
			}
		})
	}
}
