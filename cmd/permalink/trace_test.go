package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader/golden"
)

// sendTo sends a message through a daemon's milter.
func sendTo(t *testing.T, socket, queueID string, header ...string) {
	t.Helper()
	client := gomilter.NewClientWithOptions("unix", socket, gomilter.ClientOptions{
		ActionMask: gomilter.OptAddHeader | gomilter.OptChangeHeader, ProtocolMask: gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoBody})
	defer client.Close()
	session, err := client.Session()
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	must := func(_ *gomilter.Action, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := session.Macros(gomilter.CodeMail, "i", queueID); err != nil {
		t.Fatal(err)
	}
	must(session.Mail("a@example.org", nil))
	must(session.Rcpt("b@example.org", nil))
	for _, field := range header {
		name, value, _ := strings.Cut(field, ": ")
		must(session.HeaderField(name, value))
	}
	must(session.HeaderEnd())
	if _, _, err := session.End(); err != nil {
		t.Fatal(err)
	}
}

var changing = regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z|connection \w+`)

func TestTraceTellsWhatTheDaemonDid(t *testing.T) {
	dir := t.TempDir()
	daemon, err := startDaemon(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { daemon.Stop() })
	socket := filepath.Join(dir, "milter.sock")
	sendTo(t, socket, "4XyA", "Message-ID: <abc@example.org>", "Date: one", "List-Post: <mailto:devel@lists.example.org>")
	sendTo(t, socket, "4XyB", "Message-ID: <abc@example.org>", "Date: two", "List-Post: <mailto:devel@lists.example.org>")
	sendTo(t, socket, "4XyC", "Message-ID: <none@example.org>", "List-Post: <mailto:devel@else.example>")
	config := filepath.Join(dir, "permalink-milter.toml")
	if code, _, errs := permalink(t, nil, "confirm", "--config", config, "--url", "https://lists.example.org/1", "--list", develList, md5ABC); code != exitOK {
		t.Fatal(errs)
	}
	log := filepath.Join(dir, "log")
	if err := os.WriteFile(log, []byte(daemon.Stderr()), 0o600); err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, subject := range []string{"4XyA", "4XyB", "4XyC", "<none@example.org>", md5ABC + "-2", "4XyD"} {
		code, out, errs := permalink(t, nil, "trace", "--config", config, "--log", log, subject)
		if (code == exitOK) != (subject != "4XyD") {
			t.Errorf("%s: exit %d", subject, code)
		}
		all.WriteString("== " + subject + "\n" + out + errs)
	}
	// The log does not reach back, and the registry knows all the same.
	_, out, errs := permalink(t, strings.NewReader(""), "trace", "--config", config, "--log", "-", "<abc@example.org>")
	all.WriteString("== without a log\n" + out + errs)
	golden.Equal(t, "testdata/trace.golden", changing.ReplaceAllStringFunc(all.String(), func(s string) string {
		if strings.HasPrefix(s, "connection") {
			return "connection N"
		}
		return "TIME"
	}))
}

// The journal is read by journalctl, which a script stands in for.
func TestTraceReadsTheJournal(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	write := func(script string) {
		if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(`echo 'time=2026-11-24T11:00:00Z level=WARN msg="message passed unmarked" conn=1 qid=4XyZ reason=header_limit'; echo "arguments: $*" >` + dir + "/said\n")
	code, out, errs := permalink(t, nil, "trace", "--since", "yesterday", "4XyZ")
	if want := "2026-11-24T11:00:00.000Z queue id 4XyZ: a message passed unmarked (connection 1)\n  reason: header_limit\n"; code != exitOK || out != want {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if said, err := os.ReadFile(filepath.Join(dir, "said")); err != nil || string(said) != "arguments: -u permalink-milter -o cat --no-pager --quiet --since yesterday\n" {
		t.Errorf("%s, %v", said, err)
	}
	write("echo 'no such unit' >&2; exit 1\n")
	if code, _, errs := permalink(t, nil, "trace", "4XyZ"); code != exitTemporary || !strings.Contains(errs, "no such unit") {
		t.Errorf("exit %d: %s", code, errs)
	}
	t.Setenv("PATH", dir+"/nowhere")
	if code, _, errs := permalink(t, nil, "trace", "4XyZ"); code != exitTemporary || !strings.Contains(errs, "name the log with --log FILE") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
