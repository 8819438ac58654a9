package headertest_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/headertest"
)

// TestReadAgreesWithHashheader holds all fields together, where the tests of
// whole programs hold what is computed of them.
func TestReadAgreesWithHashheader(t *testing.T) {
	messages, err := headertest.Testdata("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	messages = append(append(messages, headertest.Bounds()...), headertest.Generate(1, 20_000)...)
	for _, m := range messages {
		if err := agree(m.Data); err != nil {
			t.Errorf("%s: %.999q: %v", m.Name, m.Data, err)
		}
	}
}

// agree returns how the two readers of a message differ.
func agree(message []byte) error {
	want, over := headertest.Read(message)
	got, err := hashheader.ReadHeader(bytes.NewReader(message))
	if over != (err != nil) {
		return fmt.Errorf("over a bound %v, but %v", over, err)
	}
	if over {
		return nil
	}
	for i := range got {
		got[i].Value = string(bytes.TrimPrefix([]byte(got[i].Value), []byte{' '}))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("-headertest +hashheader\n%s", diff)
	}
	return nil
}

func TestGenerateIsTheSameForASeed(t *testing.T) {
	if diff := cmp.Diff(headertest.Generate(7, 100), headertest.Generate(7, 100)); diff != "" {
		t.Error(diff)
	}
}

func FuzzReadAgreesWithHashheader(f *testing.F) {
	for _, m := range headertest.Generate(1, 100) {
		f.Add(m.Data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := agree(data); err != nil {
			t.Errorf("%q: %v", data, err)
		}
	})
}
