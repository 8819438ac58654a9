package hashheader_test

import (
	"bytes"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/vectors"
)

func readHeader(t testing.TB, raw []byte) hashheader.Header {
	t.Helper()
	h, err := hashheader.ReadHeader(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestVectorsAgree(t *testing.T) {
	for _, v := range vectors.Read(t, "../testdata") {
		canonical, err := readHeader(t, v.Header).MessageID()
		if err != nil {
			t.Error(err)
		}
		if !bytes.Equal(canonical, v.Canonical) {
			t.Errorf("%s: canonical %q, want %q", v.Name, canonical, v.Canonical)
		}
		for a, want := range map[hashheader.Algorithm]*string{hashheader.MD5: v.MD5, hashheader.SHA1: v.SHA1, hashheader.SHA256: v.SHA256} {
			got, err := a.Hash(canonical)
			if want == nil && len(canonical) == 0 {
				continue
			}
			if err != nil || want == nil || got != *want {
				t.Errorf("%s: %s %s, %v", v.Name, a, got, err)
			}
		}
	}
}

func FuzzFoldingChangesNothing(f *testing.F) {
	f.Add([]byte("<abc@example.org>"), 4)
	f.Fuzz(func(t *testing.T, value []byte, at int) {
		id := hashheader.Canonical(nil, value)
		if again := hashheader.Canonical(nil, "<"+string(id)+">"); !bytes.Equal(again, id) {
			t.Errorf("%q written back is %q", id, again)
		}
		at = min(max(at, 0), len(value))
		folded := string(value[:at]) + "\r\n\t" + string(value[at:])
		if got := hashheader.Canonical(nil, folded); !bytes.Equal(got, id) {
			t.Errorf("%q folded is %q, want %q", value, got, id)
		}
	})
}

func TestArchivedAtLines(t *testing.T) {
	for _, n := range []int{1, 60, 950, 970, 1000, 2500} {
		url := "https://a.example/" + strings.Repeat("x", n)
		value := hashheader.ArchivedAt(url)
		for line := range strings.Lines("Archived-At: " + value) {
			if len(strings.TrimSuffix(line, "\n")) > 998 {
				t.Errorf("a line of %d bytes", len(line))
			}
		}
		if back, err := hashheader.ParseArchivedAt(value); err != nil || back != url {
			t.Errorf("%d: %.80q, %v", n, back, err)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	var id, hash [64]byte
	value := "\r\n <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>"
	for _, a := range hashheader.Algorithms {
		b.Run(a.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				a.AppendHash(hash[:0], hashheader.Canonical(id[:0], value))
			}
		})
	}
}

func TestHashingDoesNotAllocate(t *testing.T) {
	var id, hash [64]byte
	value := "\r\n <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>"
	if n := testing.AllocsPerRun(100, func() {
		hashheader.MD5.AppendHash(hash[:0], hashheader.Canonical(id[:0], value))
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
