package guard

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/guard/journal"
)

// The journal outlives the program that wrote it: its form may not change.
const goldenHeader = "706c696e6b6a6e01" // of a segment

const goldenRecord = "35000000" + "d6fd480d" + // length, CRC-32C
	"01" + "f0e1a5d006" + "000102030405060708090a0b0c0d0e0f" + // share, time, identity
	"03614062" + "1a374b57555442544f53534d505946595a3655554a343651434e45" // list, hash

var goldenValue = record{at: time.Unix(1779003632, 0).UTC(), Request: registry.Request{List: "a@b", Hash: "7KWUTBTOSSMPYFYZ6UUJ46QCNE",
	Identity: hashheader.Identity{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Share: true}}

func TestStoredFormIsTheGolden(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(dir, journal.Options{MaxBytes: 1 << 20})
	if err == nil {
		err = j.Append(t.Context(), goldenValue.encode())
	}
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	data, err := os.ReadFile(filepath.Join(dir, "000000000001.journal"))
	if want := goldenHeader + goldenRecord; err != nil || hex.EncodeToString(data) != want {
		t.Errorf("\n%x, want\n%s; %v", data, want, err)
	}
	back, err := decodeRecord(goldenValue.encode())
	if diff := cmp.Diff(goldenValue, back, cmp.AllowUnexported(record{})); diff != "" || err != nil {
		t.Error(err, diff)
	}
}

// FuzzRecord finds no bytes that decode and do not encode back.
func FuzzRecord(f *testing.F) {
	f.Add(goldenValue.encode())
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := decodeRecord(payload)
		if err != nil {
			return
		}
		again, err := decodeRecord(r.encode())
		if err != nil || again != r {
			t.Errorf("%+v became %+v, %v", r, again, err)
		}
	})
}
