package inplace

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that a mail program renamed meanwhile is not brought back.
func TestARenameWins(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1")
	os.WriteFile(file, []byte("Message-ID: <abc@example.org>\n\n"), 0o600)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	root, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	os.Rename(file, file+"-seen")
	if err := rewrite(root, "1", f, []byte("new")); err != ErrMoved {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Error(left)
	}
	os.WriteFile(file, []byte("Message-ID: <xyz@example.org>\n\n"), 0o600) // another message of the same size
	if err := rewrite(root, "1", f, []byte("new")); err != ErrMoved {
		t.Error(err)
	}
}

// To open a file takes a step for each folder above it: one in thousands of
// folders, which their owner can make, would take all night.
func TestFoldersThatLieTooDeepAreLeftOut(t *testing.T) {
	dir := t.TempDir()
	deep := filepath.Join(dir, strings.Repeat("d/", maxDepth))
	if err := os.MkdirAll(deep+"/d", 0o700); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(deep+"/message", nil, 0o600)
	os.WriteFile(deep+"/d/message", nil, 0o600)
	var edited, deeper int
	w := Rewriter{
		Edit: func(*os.File, bool) (before, after []byte, err error) { edited++; return nil, nil, nil },
		Done: func(file string, _ bool, err error) error {
			if errors.Is(err, errDeep) && file == filepath.Join(deep, "d") {
				deeper++
			} else if err != nil {
				t.Error(file, err)
			}
			return nil
		},
	}
	if err := w.Files(t.Context(), []string{dir}); err != nil || edited != 1 || deeper != 1 {
		t.Errorf("%d edited, %d left out, %v", edited, deeper, err)
	}
}
