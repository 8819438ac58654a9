// Package golden compares what a test generates with a file of the repository.
//
// # How to use it
//
//	golden.Equal(t, "testdata/pages.golden", page)
//
// A test binary that imports the package has the flag -update, which writes
// the files instead. Look at the change before you commit it.
package golden

import (
	"flag"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// Update reports whether the test was told to write its golden files.
func Update() bool { return *update }

// Equal fails the test if got is not the content of the file. With -update it
// writes got into the file.
func Equal(t testing.TB, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs from what is generated (-file +generated); run this test with -update and look at the change:\n%s", file, diff)
	}
}
