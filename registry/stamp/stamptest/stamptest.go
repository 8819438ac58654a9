// Package stamptest has the policy by which the tests of several packages
// decide, and makes the headers that they decide about.
package stamptest

import (
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/registry/stamp"
)

// Policy returns a policy with one archive, of all lists at lists.example.org.
// Change, unless nil, alters it before it is checked.
func Policy(t testing.TB, change func(*stamp.Policy)) *stamp.Policy {
	t.Helper()
	url, err := hashheader.ParseTemplate("https://lists.example.org/{list}/{token}")
	if err != nil {
		t.Fatal(err)
	}
	p := stamp.Policy{
		Emit: []string{"Message-ID-MD5"}, Remove: []string{"X-Message-ID-Hash"}, Missing: stamp.MissingDerive,
		HashUnmatched: true, Identity: []string{"message-id", "date"}, OnFailure: stamp.FailureStamp, Hostname: "mx.example.org",
		Archives: []stamp.Archive{{Name: "hk", Lists: []string{"*@lists.example.org"}, URL: url}},
	}
	if change != nil {
		change(&p)
	}
	out, err := stamp.NewPolicy(p)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Header makes a header of lines; a LF inside one is a fold.
func Header(lines ...string) (h hashheader.Header) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		h = append(h, hashheader.Field{Name: name, Value: strings.TrimPrefix(value, " ")})
	}
	return h
}
