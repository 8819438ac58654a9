package inplace

import (
	"os"
	"path/filepath"
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
