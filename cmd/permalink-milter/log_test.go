package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestTheJournalLearnsPriorities gives the daemon a standard error that it takes for the journal's, in each format.
func TestTheJournalLearnsPriorities(t *testing.T) {
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "permalink-milter.toml")
			text := fmt.Sprintf("state_dir = %q\nlog.format = %q\nmilter.mode = \"observe\"\nmilter.listen = [\"unix:%s\", \"unix:/no/such/folder/socket\"]\n",
				dir, format, filepath.Join(dir, "s"))
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			stderr, err := os.Create(filepath.Join(dir, "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			var stat syscall.Stat_t
			if err := syscall.Fstat(int(stderr.Fd()), &stat); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("permalink-milter", "--config", file)
			cmd.Env = append(os.Environ(), fmt.Sprintf("JOURNAL_STREAM=%d:%d", stat.Dev, stat.Ino))
			cmd.Stderr = stderr
			cmd.Run()
			log, err := os.ReadFile(stderr.Name())
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(string(log), "\n"), "\n")
			for i, want := range []struct{ priority, text string }{
				{"<6>", "starting"}, {"<4>", "milter.mode is observe"}, {"<3>permalink-milter: milter.listen", "no such file or directory"},
			} {
				if i >= len(lines) || !strings.HasPrefix(lines[i], want.priority) || !strings.Contains(lines[i], want.text) {
					t.Errorf("line %d: want %s … %s in\n%s", i+1, want.priority, want.text, log)
				}
			}
		})
	}
}
