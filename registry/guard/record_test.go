package guard

import (
	"encoding/hex"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// The journal outlives the program that wrote it: its form may not change.
const goldenRecord = "35000000" + "d6fd480d" + // length, CRC-32C
	"01" + "f0e1a5d006" + "000102030405060708090a0b0c0d0e0f" + // share, time, identity
	"03614062" + "1a374b57555442544f53534d505946595a3655554a343651434e45" // list, hash

var goldenValue = record{at: time.Unix(1779003632, 0).UTC(), Request: registry.Request{List: "a@b", Hash: "7KWUTBTOSSMPYFYZ6UUJ46QCNE",
	Identity: hashheader.Identity{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Share: true}}

func TestStoredFormIsTheGolden(t *testing.T) {
	data := appendRecord(nil, goldenValue)
	if got := hex.EncodeToString(data); got != goldenRecord {
		t.Errorf("\n%s, want\n%s", got, goldenRecord)
	}
	back, n := decodeRecord(data)
	if diff := cmp.Diff(goldenValue, back, cmp.AllowUnexported(record{})); diff != "" || n != len(data) {
		t.Error(n, diff)
	}
}

func TestDamageIsSeen(t *testing.T) {
	data := appendRecord(nil, goldenValue)
	for n := range data {
		if _, length := decodeRecord(data[:n]); length != 0 {
			t.Errorf("cut to %d bytes, it decodes", n)
		}
		damaged := slices.Clone(data)
		damaged[n] ^= 0x10
		if _, length := decodeRecord(damaged); length != 0 {
			t.Errorf("with byte %d changed, it decodes", n)
		}
	}
	if _, n := decodeRecord(make([]byte, 100)); n != 0 {
		t.Error("zeros are a record")
	}
}

// Whatever a crash leaves behind the sound records, these are recovered.
func FuzzSegment(f *testing.F) {
	f.Add(3, []byte{})
	f.Add(2, appendRecord(nil, goldenValue)[:20])
	f.Add(0, make([]byte, 4096))
	f.Fuzz(func(t *testing.T, sound int, tail []byte) {
		sound = max(0, min(sound, 20))
		var whole []byte
		for n := range sound {
			whole = appendRecord(whole, record{request(n, n), time.Unix(int64(n), 0).UTC()})
		}
		name := filepath.Join(t.TempDir(), "1.journal")
		if err := os.WriteFile(name, slices.Concat([]byte(segmentHeader), whole, tail), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := recoverSegment(name, slog.New(slog.DiscardHandler))
		if err != nil || s.records < sound {
			t.Fatalf("%d of %d records, %v", s.records, sound, err)
		}
		if again, err := recoverSegment(name, slog.New(slog.DiscardHandler)); s.records > 0 && again != s {
			t.Errorf("recovered again: %+v, %v; was %+v", again, err, s)
		}
		for n := range sound {
			r, length := decodeRecord(whole)
			if r.Identity != identity(n) {
				t.Errorf("record %d is %+v", n, r)
			}
			whole = whole[length:]
		}
	})
}

// FuzzRecord finds no bytes that decode and do not encode back.
func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, goldenValue)[8:])
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, ok := decodePayload(payload)
		if !ok {
			return
		}
		again, ok := decodePayload(appendRecord(nil, r)[8:])
		if !ok || again != r {
			t.Errorf("%+v became %+v", r, again)
		}
	})
}
