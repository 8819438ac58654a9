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
func Load(testdata string) ([]Vector, error) { return load[Vector](testdata, "message-id.jsonl") }

// load returns the objects of a file, one a line.
func load[T any](testdata, name string) (out []T, err error) {
	file := filepath.Join(testdata, "vectors", name)
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(data) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// Read is Load for a test, which it fails if there are fewer than 200 vectors.
func Read(t testing.TB, testdata string) []Vector {
	return atLeast[Vector](t, 200, testdata, "message-id.jsonl")
}

// atLeast is load for a test, which it fails if there are fewer than least.
func atLeast[T any](t testing.TB, least int, testdata, name string) []T {
	t.Helper()
	all, err := load[T](testdata, name)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < least {
		t.Fatalf("%s: %d vectors, want at least %d", name, len(all), least)
	}
	return all
}

// A Peer is what another archive's own code makes of a vector.
type Peer struct {
	Name, Class string // of the vector
	Peer        string // such as sympa-6.2.80
	URLPart     string `json:"url_part"`
}

// Peers returns the answers of other archives, for vectors that Read returns.
func Peers(t testing.TB, testdata string) []Peer {
	t.Helper()
	return atLeast[Peer](t, 800, testdata, "peers.jsonl")
}

// A Date is the value of a Date field, and its year and month in UTC, as
// 2026-11; nil where there is none.
type Date struct {
	Date  string
	Month *string
}

// Dates returns values of Date fields.
func Dates(t testing.TB, testdata string) []Date {
	t.Helper()
	return atLeast[Date](t, 50, testdata, "dates.jsonl")
}
