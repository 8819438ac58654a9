package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/hashheader"
	"permalink-milter/milter/mtatest/output"
)

// patience bounds every wait of a test. None is expected to take that long.
const patience = 20 * time.Second

// A logBuffer is a log that a test reads while the daemon writes.
type logBuffer struct{ output.Buffer }

// wait returns when the log contains text.
func (l *logBuffer) wait(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(l.String(), text) {
			return
		}
	}
	t.Fatalf("no %q in the log:\n%s", text, l)
}

// A process is the daemon, run by the real main in a process of its own.
type process struct {
	*exec.Cmd
	dir    string // the state directory; the milter's socket s is in it
	log    logBuffer
	exited chan struct{}
}

// start starts the daemon with a configuration and returns when it serves. DIR
// in the text stands for the directory. Prepare may change the command.
func start(t *testing.T, text string, prepare ...func(*exec.Cmd)) *process {
	t.Helper()
	return startIn(t, t.TempDir(), text, prepare...)
}

// startIn is start with a directory that is there.
func startIn(t *testing.T, dir, text string, prepare ...func(*exec.Cmd)) *process {
	t.Helper()
	p := &process{dir: dir, exited: make(chan struct{})}
	p.configure(t, text)
	p.Cmd = exec.Command("permalink-milter", "--config", p.file())
	p.Env = append(os.Environ(), quickExit)
	for _, change := range prepare {
		change(p.Cmd)
	}
	p.Stdout, p.Stderr = &p.log, &p.log
	p.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Process.Kill()
		<-p.exited
	})
	p.log.wait(t, "listening")
	return p
}

func (p *process) file() string { return filepath.Join(p.dir, "c.toml") }

func (p *process) socket() string { return filepath.Join(p.dir, "s") }

// configure writes the configuration, whose milter.listen is a unix socket.
func (p *process) configure(t *testing.T, text string) {
	t.Helper()
	head := "state_dir = \"DIR\"\nmilter.listen = [\"unix:DIR/s\"]\n"
	if strings.Contains(text, "listen = [") {
		head = "state_dir = \"DIR\"\n"
	}
	write(t, p.file(), strings.ReplaceAll(head+text, "DIR", p.dir))
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (p *process) signal(t *testing.T, sig os.Signal) {
	t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

// end waits for the process to exit with code 0.
func (p *process) end(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("the daemon still runs:\n%s", &p.log)
	}
	if code := p.ProcessState.ExitCode(); code != exitOK {
		t.Errorf("exit code %d:\n%s", code, &p.log)
	}
}

// stop ends the daemon in the way of a service manager.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	p.end(t)
}

// A mail is the milter session of one message, step by step.
type mail struct {
	t *testing.T
	s *gomilter.ClientSession
}

// connect opens a milter session that waits for a reply to each step, so that a
// test knows what the daemon has read.
func connect(t *testing.T, network, addr string) mail {
	t.Helper()
	c := gomilter.NewClientWithOptions(network, addr, gomilter.ClientOptions{
		ReadTimeout: patience, WriteTimeout: patience, ActionMask: gomilter.OptAddHeader | gomilter.OptChangeHeader,
		ProtocolMask: gomilter.OptNoConnect | gomilter.OptNoHelo | gomilter.OptNoBody})
	t.Cleanup(func() { c.Close() })
	s, err := c.Session()
	if err != nil {
		t.Fatalf("milter session at %s: %v", addr, err)
	}
	t.Cleanup(func() { s.Close() })
	return mail{t, s}
}

func (m mail) must(_ *gomilter.Action, err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// begin sends the envelope and the header.
func (m mail) begin(header ...string) mail {
	m.t.Helper()
	if err := m.s.Macros(gomilter.CodeMail, "i", "4XyZ"); err != nil {
		m.t.Fatal(err)
	}
	m.must(m.s.Mail("a@example.org", nil))
	m.must(m.s.Rcpt("devel@lists.example.org", nil))
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		m.must(m.s.HeaderField(name, value))
	}
	m.must(m.s.HeaderEnd())
	return m
}

// end ends the message and returns the fields that were added.
func (m mail) end() (fields hashheader.Header) {
	m.t.Helper()
	actions, act, err := m.s.End()
	if err != nil || act.Code != gomilter.ActContinue {
		m.t.Fatalf("end of message: %v, %v", act, err)
	}
	for _, a := range actions {
		fields = append(fields, hashheader.Field{Name: a.HeaderName, Value: a.HeaderValue})
	}
	return fields
}

const (
	messageID = "Message-ID: <abc@example.org>"
	listID    = "List-Id: Devel <devel.lists.example.org>"
	dateField = "Date: Tue, 24 Nov 2026 11:00:00 +0000"
	md5Hash   = "VP3JZR3MSKY5TQSMS5FHURHQXI"
)

// archive returns an [[archive]] whose URLs begin with prefix.
func archive(prefix string) string {
	return fmt.Sprintf("[[archive]]\nname = \"hk\"\nlists = [\"*@lists.example.org\"]\nurl = \"https://%s/{list}/{token}\"\n", prefix)
}
