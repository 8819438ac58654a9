package conform

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// The command of the page for implementers is run as it stands there.
func TestThePagesCommandPasses(t *testing.T) {
	need.Program(t, "python3", "python3")
	_, rest, ok := strings.Cut(read(t, "../../../config/CONFORMANCE.md"), "```python\n")
	program, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("no program on the page")
	}
	file := filepath.Join(t.TempDir(), "my_hash.py")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	folder, err := filepath.Abs(draftFolder)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("PYTHONPATH", folder)
	t.Setenv("PYTHONDONTWRITEBYTECODE", "1")
	passes(t, Hash([]string{"python3", file})[:20], 0)
}
