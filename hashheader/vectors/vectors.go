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
	"fmt"
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

// Load returns the vectors of the repository's testdata folder.
func Load(testdata string) (out []Vector, err error) {
	file := filepath.Join(testdata, "vectors", "message-id.jsonl")
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		var v Vector
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// Read is Load for a test, which it fails if there are fewer than 200 vectors.
func Read(t testing.TB, testdata string) []Vector {
	t.Helper()
	all, err := Load(testdata)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 200 {
		t.Fatalf("%d vectors, want at least 200", len(all))
	}
	return all
}
