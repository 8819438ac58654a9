package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every relative link of a document in the packages leads to what is in the
// packages, too.
func TestPackagedDocumentsLinkPackagedDocuments(t *testing.T) {
	root := filepath.Join("..", "..")
	list, err := os.ReadFile(filepath.Join("package", "documents"))
	if err != nil {
		t.Fatal(err)
	}
	packaged := make(map[string]bool) // files, and folders with what is in them
	for entry := range strings.Lines(string(list)) {
		err := filepath.WalkDir(filepath.Join(root, strings.TrimSpace(entry)), func(path string, _ fs.DirEntry, err error) error {
			packaged[path] = true
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
	link := regexp.MustCompile(`\]\(([^)#]+)`)
	var links int
	for path := range packaged {
		if filepath.Ext(path) != ".md" {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			links++
			target := filepath.Join(filepath.Dir(path), m[1])
			if !strings.Contains(m[1], "://") && !packaged[target] && !holds(packaged, target) {
				t.Errorf("%s: %s is not in the packages: add it to package/documents, or do not link it", path, m[1])
			}
		}
	}
	if links < 50 {
		t.Errorf("%d links were found", links)
	}
}

// holds reports whether a file of a folder is packaged.
func holds(packaged map[string]bool, folder string) bool {
	for path := range packaged {
		if strings.HasPrefix(path, folder+"/") {
			return true
		}
	}
	return false
}
