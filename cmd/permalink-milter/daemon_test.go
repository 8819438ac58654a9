package main

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"permalink-milter/cmd/internal/version"
	"permalink-milter/hashheader"
)

func TestDaemonReloadsAndStops(t *testing.T) {
	p := start(t, archive("one.example"))
	if got, _ := connect(t, "unix", p.socket()).begin(messageID, listID).end().First("Archived-At"); got != "<https://one.example/devel@lists.example.org/"+md5Hash+">" {
		t.Errorf("Archived-At: %s", got)
	}

	p.configure(t, "[milter]\nlisten = [\"unix:DIR/s\"]\nidle_timeout = \"1h\"\n[log]\nlevel = \"debug\"\n"+archive("two.example"))
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "configuration reloaded")
	p.log.wait(t, "restart the daemon to change them\" keys=[milter.idle_timeout]")
	if got, _ := connect(t, "unix", p.socket()).begin(messageID, listID).end().First("Archived-At"); !strings.HasPrefix(got, "<https://two.example/") {
		t.Errorf("Archived-At after the reload: %s", got)
	}
	p.log.wait(t, "level=DEBUG msg=edit")

	p.configure(t, "[header]\nalgorithm = \"md4\"\nemit = [\"X-Hash\"]\n")
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "the old one stays in force")
	p.log.wait(t, "c.toml:4:1: header.algorithm: unknown algorithm")
	p.log.wait(t, "c.toml:5:9: header.emit[0]")
	if got, _ := connect(t, "unix", p.socket()).begin(messageID, listID).end().First("Archived-At"); !strings.HasPrefix(got, "<https://two.example/") {
		t.Errorf("Archived-At after a bad file: %s", got)
	}
	p.stop(t)
	if _, err := os.Stat(p.socket()); err == nil {
		t.Error("the socket is still there")
	}
}

func TestDaemonSaysWhatItStartsWith(t *testing.T) {
	p := start(t, "[registry]\nurl = \"bolt:r.db\"\n"+archive("one.example")+strings.Replace(archive("two.example"), "hk", "mhonarc", 1))
	first, _, _ := strings.Cut(p.log.String(), "\n")
	want := `msg=starting version="` + version.String() + `" config=` + p.file() + ` registry=bolt:` + p.dir + `/r.db archives="[hk mhonarc]"`
	if !strings.HasSuffix(first, want) {
		t.Errorf("the log begins %s\nwant %s", first, want)
	}
	p.configure(t, "")
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, `any more" archives=0 were=2 dropped="[hk mhonarc]"`)
	p.configure(t, archive("one.example"))
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, `msg="configuration reloaded" archives=[hk]`)
	p.stop(t)
	if n := strings.Count(p.log.String(), "fewer archives"); n != 1 {
		t.Errorf("%d warnings:\n%s", n, &p.log)
	}
}

func TestMessageInProgressEndsBeforeTheDaemon(t *testing.T) {
	admin := "127.0.0.1:" + freePort(t)
	p := start(t, "log.format = \"json\"\nadmin.listen = \""+admin+"\"\n"+archive("one.example"))
	m := connect(t, "unix", p.socket()).begin(messageID, listID, dateField)
	p.signal(t, syscall.SIGTERM)
	p.log.wait(t, `"msg":"stopping"`)
	if code, body := get(t, "http://"+admin+"/readyz"); code != http.StatusServiceUnavailable {
		t.Errorf("ready while it stops: %d %s", code, body)
	}
	if fields := m.end(); len(fields) != 2 {
		t.Errorf("the message got %q", fields)
	}
	p.end(t)
	if _, err := net.Dial("unix", p.socket()); err == nil {
		t.Error("a new connection was accepted")
	}

	p = start(t, "milter.shutdown_budget = \"50ms\"\n")
	connect(t, "unix", p.socket()).begin(messageID)
	p.stop(t)
	if !strings.Contains(p.log.String(), "work in progress was cut off") {
		t.Errorf("the budget did not end the message:\n%s", &p.log)
	}
}

// Operators search their logs for the one line per message at level info.
func TestLogHasOneLineAMessage(t *testing.T) {
	p := start(t, "log.format = \"json\"\n"+archive("one.example"))
	connect(t, "unix", p.socket()).begin(messageID, listID).end()
	p.stop(t)
	var lines []map[string]any
	for line := range strings.Lines(p.log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if fields["qid"] != nil {
			lines = append(lines, fields)
		}
	}
	if len(lines) != 1 {
		t.Fatalf("%d lines:\n%s", len(lines), &p.log)
	}
	got := lines[0]
	first := func(key string) any {
		values, _ := got[key].([]any)
		if len(values) != 1 {
			return nil
		}
		return values[0]
	}
	if got["msg"] != "message stamped" || got["level"] != "INFO" || got["qid"] != "4XyZ" || got["conn"] == nil || got["hash"] != md5Hash ||
		first("lists") != "devel@lists.example.org" || first("tokens") != md5Hash || first("outcomes") != "reserved" ||
		first("permalinks") != "https://one.example/devel@lists.example.org/"+md5Hash {
		t.Errorf("%v", got)
	}
}

func TestGeneratedMessageIDsAreUnique(t *testing.T) {
	p := start(t, "hostname = \"mx.example.org\"\nheader.missing_message_id = \"generate\"\n")
	m := connect(t, "unix", p.socket())
	seen := make(map[string]bool)
	for range 2 {
		fields := m.begin("Subject: x").end()
		id, _ := fields.First("Message-ID")
		hash, _ := fields.First("Message-ID-MD5")
		if !strings.HasSuffix(id, "@mx.example.org>") || hashheader.Verify(hashheader.MD5, hash, hashheader.Canonical(nil, id)) != nil {
			t.Errorf("fields %q", fields)
		}
		seen[id] = true
	}
	if len(seen) != 2 {
		t.Errorf("ids %v", seen)
	}
	p.stop(t)
}

func TestDaemonInFIPSMode(t *testing.T) {
	fips := func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, "GODEBUG=fips140=only") }
	p := start(t, "[header]\nalgorithm = \"sha256\"\nemit = [\"Message-ID-SHA256\"]\n"+archive("one.example"), fips)
	fields := connect(t, "unix", p.socket()).begin(messageID, listID, dateField).end()
	hash, _ := fields.First("Message-ID-SHA256")
	if err := hashheader.Verify(hashheader.SHA256, hash, []byte("abc@example.org")); err != nil || len(fields) != 2 {
		t.Errorf("%q, %v", fields, err)
	}
	p.stop(t)
}

func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "unknown.toml"), "x = 1\n")
	write(t, filepath.Join(dir, "address.toml"), "state_dir = \""+dir+"\"\nmilter.listen = [\"unix:"+dir+"/unknown.toml\"]\n")
	for _, test := range []struct {
		name, args, env string
		code            int
	}{
		{"nothing to do but print", "--print-config", "", exitOK},
		{"an unknown flag", "--nonsense", "", exitUsage},
		{"an unknown MTA", "--print-mta exim", "", exitUsage},
		{"an unknown key", "--config unknown.toml", "", exitConfig},
		{"a missing file", "--config missing.toml", "", exitConfig},
		{"MD5 in FIPS mode", "", "GODEBUG=fips140=only", exitConfig},
		{"an address that cannot be opened", "--config address.toml", "", exitUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			cmd := exec.CommandContext(ctx, "permalink-milter", strings.Fields(test.args)...)
			cmd.Dir, cmd.Env = dir, append(os.Environ(), quickExit, test.env)
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != test.code {
				t.Errorf("exit code %d, want %d: %s", code, test.code, out)
			}
		})
	}
}

func TestOneProcessHoldsTheRegistry(t *testing.T) {
	p := start(t, "")
	other := filepath.Join(t.TempDir(), "c.toml")
	write(t, other, "state_dir = \""+p.dir+"\"\nmilter.listen = [\"inet:127.0.0.1:0\"]\n")
	var log logBuffer
	if code := run(t.Context(), []string{"--config", other}, stdio{io.Discard, &log}); code != exitUnavailable || !strings.Contains(log.String(), "another process holds") {
		t.Errorf("exit %d, %s", code, &log)
	}
	p.stop(t)
}

func TestDaemonWithoutAFileExplainsTheNextSteps(t *testing.T) {
	defer goleak.VerifyNone(t)
	t.Setenv("STATE_DIRECTORY", t.TempDir())
	untilFree(t, "127.0.0.1:8899")
	ctx, stop := context.WithCancel(t.Context())
	var out, log logBuffer
	exit := make(chan int)
	go func() { exit <- run(ctx, []string{}, stdio{&out, &log}) }()
	log.wait(t, "listening")
	out.wait(t, "postconf -e \"$list = { inet:127.0.0.1:8899, default_action=tempfail } $(postconf -h $list)\"")
	out.wait(t, "INPUT_MAIL_FILTER(`permalink', `S=inet:8899@127.0.0.1, F=T')dnl")
	stop()
	if code := <-exit; code != exitOK {
		t.Errorf("exit %d, %s", code, &log)
	}
}

// untilFree waits while another test on this machine uses the default port.
func untilFree(t *testing.T, addr string) {
	t.Helper()
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var ln net.Listener
		if ln, err = net.Listen("tcp", addr); err == nil {
			ln.Close()
			return
		}
	}
	t.Fatal(err)
}
