package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
			if !strings.Contains(b.String(), "= { "+want[i]+", default") && !strings.Contains(b.String(), "S="+want[i]+", F=T'") {
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
	t.Setenv("MAIL_CONFIG", "/nowhere")
	listeners := config.Default().Milter.Listen
	for _, line := range settings(t, "../../config/postfix/main.cf", "#") {
		_, entry, _ := strings.Cut(line, " = ")
		if !strings.Contains(postfixLines(listeners), "$list = "+entry+" ") {
			t.Errorf("config/postfix/main.cf has %s, but printed is\n%s", entry, postfixLines(listeners))
		}
	}
	snippet := strings.Join(settings(t, "../../config/sendmail/permalink-milter.mc", "dnl"), "\n") + "\n"
	if got := sendmailLines(listeners); got != snippet {
		t.Errorf("config/sendmail/permalink-milter.mc has\n%sbut printed is\n%s", snippet, got)
	}
}

// confPostfix makes a configuration of Postfix with these milters and returns a
// function that runs commands on it.
func confPostfix(t *testing.T, smtpd, other, more string) func(script string) string {
	t.Helper()
	need.Program(t, "postconf", "postfix")
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.cf"), "compatibility_level = 3.6\nsmtpd_milters = "+smtpd+"\nnon_smtpd_milters = "+other+"\n"+more)
	write(t, filepath.Join(dir, "master.cf"), "smtp inet n - y - - smtpd\ncleanup unix n - y - 0 cleanup\n")
	// postconf waits while a file is younger than two seconds.
	old := time.Now().Add(-time.Minute)
	for _, name := range []string{"main.cf", "master.cf"} {
		if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("MAIL_CONFIG", dir)
	t.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin")
	return func(script string) string {
		out, err := exec.Command("sh", "-ec", strings.ReplaceAll(script, "postfix reload", "")).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
}

// Other milters stay, ours is first and there once, and taking it out restores
// the lines.
func TestPostfixTakesWhatIsPrinted(t *testing.T) {
	for _, c := range []struct {
		listen             config.Address
		ours, smtpd, other string
	}{
		{"inet:127.0.0.1:8899", "inet:127.0.0.1:8899", "", ""},
		{"inet6:[::1]:8899", "inet:[::1]:8899", "inet:127.0.0.1:8891", "$smtpd_milters"},
		{"unix:/var/spool/postfix/permalink-milter/milter.sock", "unix:permalink-milter/milter.sock",
			"{ unix:opendkim/opendkim.sock, connect_timeout=10s }, inet:127.0.0.1:8892", "inet:127.0.0.1:8891"},
	} {
		t.Run(c.ours, func(t *testing.T) {
			run := confPostfix(t, c.smtpd, c.other, "")
			lists := func() string { return run("postconf -h smtpd_milters non_smtpd_milters") }
			was := lists()
			add, remove, _ := strings.Cut(postfixLines([]config.Address{c.listen}), "# To take it out again:\n")
			run(add)
			with := lists()
			if run(add); lists() != with {
				t.Errorf("adding it twice: %s, then %s", with, lists())
			}
			for _, list := range milterLists {
				got := milters(strings.TrimSuffix(run("postconf -hx "+list), "\n"))
				if len(got) == 0 || got[0] != c.ours || strings.Count(strings.Join(got, " "), c.ours) != 1 {
					t.Errorf("%s is %q", list, got)
				}
			}
			run(strings.ReplaceAll(remove, "# ", ""))
			if got := lists(); got != was {
				t.Errorf("after taking %s out: %q, was %q", c.listen, got, was)
			}
		})
	}
}

func TestMiltersOfAList(t *testing.T) {
	for value, want := range map[string]string{
		"": "", "inet:h:1": "inet:h:1", "inet:h:1, unix:/a/b  inet:[::1]:2": "inet:h:1|unix:/a/b|inet:[::1]:2",
		"{ inet:h:1, default_action=tempfail }": "inet:h:1", "{inet:h:1},{ unix:a connect_timeout=1s } x": "inet:h:1|unix:a|x", "{": "", "{ inet:h:1": "inet:h:1",
	} {
		if got := strings.Join(milters(value), "|"); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func FuzzMilters(f *testing.F) {
	f.Add("{ inet:h:1, default_action=tempfail } unix:a, b")
	f.Fuzz(func(t *testing.T, value string) {
		if got := milters(value); len(got) > len(value) {
			t.Errorf("%q: %q", value, got)
		}
	})
}
