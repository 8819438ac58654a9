package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestASeedMakesTheSameMbox(t *testing.T) {
	const size = 1 << 20
	dir := t.TempDir()
	made := func(name string, seed uint64) []byte {
		file := filepath.Join(dir, name)
		if err := generate(file, size, seed); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	one, again, other := made("1", 1), made("2", 1), made("3", 2)
	if !bytes.Equal(one, again) || bytes.Equal(one, other) {
		t.Error("the seed does not decide")
	}
	if len(one) < size || len(one) > size*6/5 {
		t.Errorf("%d bytes", len(one))
	}
	messages, ids, hashes := bytes.Count(one, []byte("From sender")), bytes.Count(one, []byte("\nMessage-ID: ")), bytes.Count(one, []byte("\nMessage-ID-MD5: "))
	if messages < 100 || ids != messages || hashes < messages/2 || hashes == messages {
		t.Errorf("%d messages, %d ids, %d hashes", messages, ids, hashes)
	}
}

func TestTheMedianCounts(t *testing.T) {
	if got := median([]float64{9, 1, 5}); got != 5 {
		t.Error(got)
	}
}
