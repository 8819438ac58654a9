package registry_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// The stored form is for other languages too: it may not change.
const golden = "01" +
	"01" + "000102030405060708090a0b0c0d0e0f" + "f0e1a5d006" + // reserved
	"00" + // vacant
	"1e" + "00000000000000000000000000000000" + "f0e1a5d006" + "01" + "056874747073" + "03" + "c3bc78"

var entry = registry.Entry{Slots: []registry.Slot{
	{State: registry.Reserved, Identity: hashheader.Identity{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, Since: 1779003632},
	{},
	{State: registry.Archived, Since: 1779003632, Expires: 1, URL: "https", Subject: "üx"},
}}

func TestStoredFormIsTheGolden(t *testing.T) {
	data := entry.AppendBinary(nil)
	if got := hex.EncodeToString(data); got != golden {
		t.Errorf("\n%s, want\n%s", got, golden)
	}
	back, err := registry.DecodeEntry(data)
	if diff := cmp.Diff(entry, back); diff != "" || err != nil {
		t.Error(err, diff)
	}
	for n := 2; n < len(data); n++ {
		if n == 23 || n == 24 { // whole slots
			continue
		}
		if _, err := registry.DecodeEntry(data[:n]); err == nil {
			t.Errorf("cut to %d bytes, it decodes", n)
		}
	}
	if _, err := registry.DecodeEntry([]byte{2}); err == nil || !strings.Contains(err.Error(), "newer") {
		t.Errorf("a newer version: %v", err)
	}
}

// Another program may have written a time that no listing can show. It would cut
// off every listing and export that comes to it.
func TestTimesThatCannotBeShownAreCorrupt(t *testing.T) {
	const last = 253402300799 // 9999-12-31T23:59:59Z
	for _, s := range []registry.Slot{{Since: -1}, {Since: last + 1}, {Expires: -1}, {Expires: last + 1}, {Since: 1 << 62}} {
		s.State = registry.Reserved
		_, err := registry.DecodeEntry(registry.Entry{Slots: []registry.Slot{s}}.AppendBinary(nil))
		if !errors.Is(err, registry.ErrCorrupt) {
			t.Errorf("since %d, expires %d: %v", s.Since, s.Expires, err)
		}
	}
	e := registry.Entry{Slots: []registry.Slot{{State: registry.Reserved, Since: last, Expires: last}}}
	if back, err := registry.DecodeEntry(e.AppendBinary(nil)); err != nil || !cmp.Equal(back, e) {
		t.Errorf("%+v, %v", back, err)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(entry.AppendBinary(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := registry.DecodeEntry(data)
		if err != nil {
			return
		}
		again, err := registry.DecodeEntry(e.AppendBinary(nil))
		if err != nil || !bytes.Equal(again.AppendBinary(nil), e.AppendBinary(nil)) {
			t.Errorf("%x: %v", data, err)
		}
	})
}

func FuzzParseToken(f *testing.F) {
	f.Add("7KWUTBTOSSMPYFYZ6UUJ46QCNE-2")
	f.Fuzz(func(t *testing.T, token string) {
		hash, ordinal, err := hashheader.ParseToken(token)
		if err == nil && !strings.EqualFold(hashheader.Token(hash, ordinal), strings.TrimSpace(token)) {
			t.Errorf("%q is %s and %d", token, hash, ordinal)
		}
	})
}
