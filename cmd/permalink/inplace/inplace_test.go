package inplace

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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

// Root copies what the owner of a file chose, and must not fill the disk with it.
func TestHolesStayHoles(t *testing.T) {
	const long = 1 << 30
	file := filepath.Join(t.TempDir(), "1")
	if err := errors.Join(os.WriteFile(file, []byte("old text"), 0o600), os.Truncate(file, long)); err != nil {
		t.Fatal(err)
	}
	end, err := os.OpenFile(file, os.O_WRONLY|os.O_APPEND, 0)
	if err == nil {
		_, err = end.WriteString("end")
		end.Close()
	}
	if err != nil || taken(t, file) > 1<<20 {
		t.Skipf("no file with a hole: %v", err)
	}
	if err := replaceOld(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	head, tail := make([]byte, 9), make([]byte, 4)
	got.ReadAt(head, 0)
	if n, _ := got.ReadAt(tail, long+2); n != 3 || string(tail[:n]) != "end" || string(head) != "newer tex" {
		t.Errorf("%q … %q", head, tail[:n])
	}
	if taken(t, file) > 1<<20 {
		t.Errorf("%d bytes of the disk are taken", taken(t, file))
	}
}

func TestFileThatGrowsIsNotFollowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1")
	if err := os.WriteFile(file, []byte("old text"), 0o600); err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("old text and more"), 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := os.Create(filepath.Join(t.TempDir(), "2"))
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := write(to, nil, from, info.Size()); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(to.Name()); string(got) != "old text" {
		t.Errorf("%q", got)
	}
}

// replaceOld writes newer for the "old" that a file begins with.
func replaceOld(file string) error {
	w := Rewriter{
		Edit: func(f *os.File, _ bool) (before, after []byte, err error) {
			before = make([]byte, 3)
			_, err = f.Read(before)
			return before, []byte("newer"), err
		},
		Done: func(_ string, _ bool, err error) error { return err },
	}
	return w.Files(context.Background(), []string{file})
}

// taken returns how many bytes of the disk a file takes.
func taken(t *testing.T, file string) int64 {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}
