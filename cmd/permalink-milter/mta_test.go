package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/config"
	"permalink-milter/milter/mtatest/need"
)

func TestMTAsAreToldTheirOwnWay(t *testing.T) {
	for address, want := range map[config.Address][2]string{
		"inet:127.0.0.1:8899":   {"inet:127.0.0.1:8899", "inet:8899@127.0.0.1"},
		"inet:0.0.0.0:8899":     {"inet:127.0.0.1:8899", "inet:8899@127.0.0.1"},
		"inet:mx.example:8899":  {"inet:mx.example:8899", "inet:8899@mx.example"},
		"inet6:[::1]:8899":      {"inet:[::1]:8899", "inet6:8899@::1"},
		"inet6:[::]:8899":       {"inet:[::1]:8899", "inet6:8899@::1"},
		"inet6:[2001:db8::]:25": {"inet:[2001:db8::]:25", "inet6:25@2001:db8::"},
		"unix:/run/p/m.sock":    {"unix:/run/p/m.sock", "unix:/run/p/m.sock"},
	} {
		for i, mta := range []string{"postfix", "sendmail"} {
			var b strings.Builder
			if err := printMTA(&b, mta, []config.Address{"systemd:milter", address}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), "= "+want[i]+"'\n") && !strings.Contains(b.String(), "S="+want[i]+", F=T'") {
				t.Errorf("%s, %s: %s", address, mta, b.String())
			}
		}
	}
	if err := printMTA(&strings.Builder{}, "postfix", []config.Address{"systemd:milter"}); err == nil {
		t.Error("a name of systemd's was printed as an address")
	}
}

// settings returns the lines of a file that are not comments.
func settings(t *testing.T, file, comment string) (lines []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, comment) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestSnippetsSayWhatIsPrinted(t *testing.T) {
	address := config.Default().Milter.Listen[0]
	var commands strings.Builder
	for _, line := range settings(t, "../../config/postfix/main.cf", "#") {
		commands.WriteString("postconf -e '" + line + "'\n")
	}
	if got := postfixLines(address); got != commands.String()+"postfix reload\n" {
		t.Errorf("config/postfix/main.cf has\n%sbut printed is\n%s", commands.String(), got)
	}
	snippet := strings.Join(settings(t, "../../config/sendmail/permalink-milter.mc", "dnl"), "\n") + "\n"
	if got := sendmailLines(address); got != snippet {
		t.Errorf("config/sendmail/permalink-milter.mc has\n%sbut printed is\n%s", snippet, got)
	}
}

func TestPostfixTakesWhatIsPrinted(t *testing.T) {
	need.Program(t, "postconf", "postfix")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.cf"), "compatibility_level = 3.6\n")
	write(t, filepath.Join(dir, "master.cf"), "")
	script, _, _ := strings.Cut(postfixLines("inet:127.0.0.1:8899"), "postfix reload")
	cmd := exec.Command("sh", "-ec", script+"postconf -hx smtpd_milters non_smtpd_milters milter_default_action")
	cmd.Env = append(os.Environ(), "MAIL_CONFIG="+dir, "PATH="+os.Getenv("PATH")+":/usr/sbin")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "inet:127.0.0.1:8899\ninet:127.0.0.1:8899\ntempfail\n" {
		t.Errorf("%v: %s", err, out)
	}
}
