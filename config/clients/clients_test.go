// Package clients_test drives the mail programs of README.md with the text that
// stands there.
package clients_test

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"permalink-milter/milter/mtatest/need"
)

var drive = flag.Bool("drive", false, "drive the mail programs, as make test-clients does")

const (
	message = "From: =?utf-8?q?J=C3=B6rg?= <a@example.org>\nMessage-ID:\n <abc@example.org>\nDate: Tue, 24 Nov 2026 10:00:00 +0000\n" +
		"To: devel@lists.example.org\nList-Post: <mailto:devel@lists.example.org>\nSubject: Gr=?utf-8?q?=C3=BC=C3=9Fe?=\n" +
		"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\nGr\u00fc\u00dfe\n\n>From the body\n"
	link = "https://lists.example.org/devel@lists.example.org/VP3JZR3MSKY5TQSMS5FHURHQXI"
)

// patience bounds a wait for a program. Those that pass do not wait for it.
const patience = 30 * time.Second

// rest is how long a screen shows nothing new that waits for keys.
const rest = 300 * time.Millisecond

// A home is a reader's home directory, with one message in a Maildir.
type home struct {
	dir string
	env []string
}

func (h *home) path(parts ...string) string {
	return filepath.Join(append([]string{h.dir}, parts...)...)
}

// newHome returns a home as README.md has it set up: with the tool, and with
// an xdg-open and a wl-copy that write down what they get.
func newHome(t *testing.T) *home {
	t.Helper()
	if !*drive {
		t.Skip("run it by: make test-clients")
	}
	h := &home{dir: t.TempDir()}
	h.env = append(os.Environ(), "HOME="+h.dir, "PATH="+h.path("bin")+":"+os.Getenv("PATH"), "TERM=xterm", "LC_ALL=C.UTF-8", "MAILDIR=", "MAIL=", "DISPLAY=", "XDG_CONFIG_HOME=")
	if out, err := exec.Command("go", "build", "-o", h.path("bin", "permalink"), "../../cmd/permalink").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	h.write(t, "bin/xdg-open", "#!/bin/sh\necho \"open $1\" >>\"$HOME/record\"\n")
	h.write(t, "bin/wl-copy", "#!/bin/sh\necho \"copy $(cat)\" >>\"$HOME/record\"\n")
	h.write(t, ".config/permalinks.toml", block(t, "toml"))
	h.write(t, "Mail/cur/1.host:2,S", message)
	for _, folder := range []string{"new", "tmp"} {
		if err := os.Mkdir(h.path("Mail", folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func (h *home) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.path(name), []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// block returns the text of README.md in a language.
func block(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "```"+language+"\n")
	if !ok {
		t.Fatalf("README.md has no %s", language)
	}
	text, _, _ = strings.Cut(text, "```")
	return text
}

// run runs a program to its end.
func (h *home) run(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env, cmd.Dir = h.env, h.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// recorded waits until the browser or the clipboard was given just this.
func (h *home) recorded(t *testing.T, what string, shown func() string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		data, _ := os.ReadFile(h.path("record"))
		lines := strings.Split(strings.TrimSpace(string(data)), "\n")
		if slices.Contains(lines, what+" "+link) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("want %s %s, recorded is %q; shown is\n%s", what, link, lines, shown())
		}
	}
}

// A screen is a terminal with a program on it.
type screen struct {
	keys io.WriteCloser

	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) shown() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// start starts a program on a terminal of its own, by script of util-linux.
func (h *home) start(t *testing.T, command string) *screen {
	t.Helper()
	cmd := exec.Command(need.Program(t, "script", "bsdutils"), "-qefc", "stty rows 24 cols 80; exec "+command, "/dev/null")
	s := new(screen)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = h.env, h.dir, s, s
	cmd.WaitDelay = time.Second
	var err error
	if s.keys, err = cmd.StdinPipe(); err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.keys.Close()
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return s
}

// press types keys once the screen has shown a text, anew since the last call,
// and has come to rest.
func (s *screen) press(t *testing.T, seen, keys string) {
	t.Helper()
	before := -1
	for end := time.Now().Add(patience); ; time.Sleep(rest) {
		shown := s.shown()
		if strings.Contains(shown, seen) && len(shown) == before {
			break
		}
		if before = len(shown); time.Now().After(end) {
			t.Fatalf("the screen does not show %q:\n%s", seen, shown)
		}
	}
	s.mu.Lock()
	s.text.Reset()
	s.mu.Unlock()
	fmt.Fprint(s.keys, keys)
}

func TestMutt(t *testing.T) {
	h := newHome(t)
	mutt := need.Program(t, "mutt", "mutt")
	h.write(t, ".muttrc", block(t, "muttrc"))
	s := h.start(t, mutt+" -n -f Mail")
	s.press(t, "Msgs:1", ",y")
	h.recorded(t, "copy", s.shown)
	s.press(t, "", "\n") // the pager
	s.press(t, "Subject:", ",o")
	h.recorded(t, "open", s.shown)
}

// A message of no list here has no permalink: the reader sees why, and the
// clipboard keeps what it has.
func TestMuttShowsWhyThereIsNoPermalink(t *testing.T) {
	h := newHome(t)
	mutt := need.Program(t, "mutt", "mutt")
	h.write(t, ".muttrc", block(t, "muttrc"))
	h.write(t, "Mail/cur/1.host:2,S", strings.ReplaceAll(message, "lists.example.org", "other.example"))
	s := h.start(t, mutt+" -n -f Mail")
	s.press(t, "Msgs:1", ",y")
	s.press(t, "no permalink: no archive holds a list of this message", "")
	if data, err := os.ReadFile(h.path("record")); err == nil {
		t.Errorf("recorded: %s", data)
	}
}

func TestNotmuch(t *testing.T) {
	h := newHome(t)
	h.notmuch(t)
	h.run(t, "sh", "-c", block(t, "sh"))
	h.recorded(t, "open", func() string { return "" })
}

// notmuch indexes the Maildir.
func (h *home) notmuch(t *testing.T) {
	t.Helper()
	notmuch := need.Program(t, "notmuch", "notmuch")
	h.write(t, ".notmuch-config", "[database]\npath="+h.path("Mail")+"\n[user]\nname=A\nprimary_email=a@example.org\n")
	h.run(t, notmuch, "new")
}

func TestAerc(t *testing.T) {
	h := newHome(t)
	aerc := need.Program(t, "aerc", "aerc")
	copies, opens, _ := strings.Cut(block(t, "ini"), "\n")
	h.write(t, ".config/aerc/binds.conf", "[messages]\n"+copies+"\nv = :view<Enter>\n[view]\n"+opens)
	h.write(t, ".config/aerc/accounts.conf", "[reader]\nsource = maildir://"+h.dir+"\ndefault = Mail\nfrom = a@example.org\n")
	if err := os.Chmod(h.path(".config/aerc/accounts.conf"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := h.start(t, aerc)
	s.press(t, "Jörg", ",y")
	h.recorded(t, "copy", s.shown)
	s.press(t, "", "v")
	s.press(t, "", ",o")
	h.recorded(t, "open", s.shown)
}

// emacs runs Emacs with what README.md says, and evaluates Lisp. The command
// of C-c y must leave the link in the kill ring; that of C-c o opens it.
func (h *home) emacs(t *testing.T, lisp string) {
	t.Helper()
	emacs := need.Program(t, "emacs", "emacs-nox")
	source, err := os.ReadFile("permalink.el")
	if err != nil {
		t.Fatal(err)
	}
	h.write(t, ".emacs.d/permalink.el", string(source))
	h.write(t, "test.el", block(t, "elisp")+`
(setq browse-url-browser-function #'browse-url-xdg-open gnus-init-file nil user-mail-address "a@example.org")
(defun press-keys ()
  (call-interactively (key-binding (kbd "C-c y")))
  (call-process-region (current-kill 0) nil "wl-copy")
  (call-interactively (key-binding (kbd "C-c o")))
  (let ((permalink-command (list "sh" "-c" "sed s/lists.example.org/other.example/ | permalink url --config ~/.config/permalinks.toml -")))
    (condition-case why (call-interactively (key-binding (kbd "C-c y")))
      (user-error (message "why: %s" (cadr why))))))
`+lisp)
	var out bytes.Buffer
	cmd := exec.Command("timeout", "60", emacs, "--batch", "--eval", "(package-initialize)", "-l", h.path("test.el"))
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = h.env, h.dir, &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	h.recorded(t, "copy", out.String)
	h.recorded(t, "open", out.String)
	if !strings.Contains(out.String(), "why: permalink url: -: no permalink") {
		t.Errorf("Emacs does not show why a message has no permalink:\n%s", out.String())
	}
}

func TestGnus(t *testing.T) {
	h := newHome(t)
	h.write(t, "mbox", "From a@example.org Tue Nov 24 10:00:00 2026\n"+message)
	h.emacs(t, `
(require 'gnus)
(setq gnus-select-method '(nnnil) gnus-read-newsrc-file nil gnus-save-newsrc-file nil)
(gnus-no-server)
(gnus-group-read-ephemeral-group "mbox" '(nndoc "mbox" (nndoc-address "~/mbox") (nndoc-article-type mbox)))
(press-keys)
`)
}

func TestMu4e(t *testing.T) {
	h := newHome(t)
	mu := need.Program(t, "mu", "maildir-utils")
	need.File(t, "/usr/share/doc/mu4e", "testdata/install.sh mu4e")
	h.run(t, mu, "init", "--maildir="+h.path("Mail"), "--my-address=a@example.org")
	h.run(t, mu, "index")
	h.emacs(t, `
(require 'mu4e)
(fset 'yes-or-no-p (lambda (&rest _) t)) ; it asks whether to make its folders
(mu4e 'background)
(mu4e-view-message-with-message-id "abc@example.org")
(let ((end (+ (float-time) 30)))
  (while (and (< (float-time) end) (not (derived-mode-p 'mu4e-view-mode)))
    (accept-process-output nil 0.1)
    (when (mu4e-get-view-buffer) (set-buffer (mu4e-get-view-buffer)))))
(press-keys)
`)
}

func TestNotmuchInEmacs(t *testing.T) {
	h := newHome(t)
	h.notmuch(t)
	need.File(t, "/usr/share/doc/elpa-notmuch", "testdata/install.sh elpa-notmuch")
	h.emacs(t, `
(require 'notmuch)
(notmuch-show "id:abc@example.org")
(press-keys)
`)
}
