package registry_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestProofNamesTestsThatExist holds PROOF.md to the tests of the tree.
func TestProofNamesTestsThatExist(t *testing.T) {
	proof, err := os.ReadFile("PROOF.md")
	if err != nil {
		t.Fatal(err)
	}
	exists := make(map[string]bool)
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		for _, m := range declared.FindAllSubmatch(data, -1) {
			exists[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(proof, -1)
	if len(named) < 20 {
		t.Errorf("PROOF.md names %d tests", len(named))
	}
	for _, m := range named {
		if !exists[string(m[1])] {
			t.Errorf("PROOF.md names %s, which does not exist", m[1])
		}
	}
}
