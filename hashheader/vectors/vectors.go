// Package vectors reads the shared test vectors in testdata/vectors, which its
// README describes.
//
// # How to use it
//
//	for _, v := range vectors.Read(t, "../testdata") {
//		…
//	}
package vectors

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// A Vector is a header section and what is right for its Message-ID.
type Vector struct {
	Name, Class       string // such as gnus/folded-crlf and mailer
	Header, Canonical []byte
	MD5, SHA1, SHA256 *string // nil where there is no id
}

// Read returns the vectors of the repository's testdata folder. It fails the
// test if there are fewer than 200.
func Read(t testing.TB, testdata string) (out []Vector) {
	t.Helper()
	file := filepath.Join(testdata, "vectors", "message-id.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		var v Vector
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		out = append(out, v)
	}
	if len(out) < 200 {
		t.Fatalf("%s: %d vectors, want at least 200", file, len(out))
	}
	return out
}
