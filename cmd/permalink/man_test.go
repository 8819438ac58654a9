package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"

	"permalink-milter/hashheader/golden"
)

// manPages writes the page of a command and of each of its verbs to dir.
func manPages(t *testing.T, dir string) {
	t.Helper()
	root := newRoot(stdio{nil, new(bytes.Buffer), new(bytes.Buffer)})
	root.DisableAutoGenTag = true // a date would make each run differ
	date := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	header := &doc.GenManHeader{Section: "1", Source: "permalink-milter", Manual: "permalink-milter", Date: &date}
	if err := doc.GenManTree(root, header, dir); err != nil {
		t.Fatal(err)
	}
	complete(t, root, dir)
}

// complete adds to the page of a command and of its verbs what the generator
// leaves out: the verbs, files and environment.
func complete(t *testing.T, cmd *cobra.Command, dir string) {
	t.Helper()
	file := filepath.Join(dir, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1")
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, tail, _ := strings.Cut(string(page), ".SH SEE ALSO")
	if err := os.WriteFile(file, []byte(head+verbs(cmd)+files(cmd)+manEnvironment+"\n.SH SEE ALSO"+tail), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, verb := range cmd.Commands() {
		if verb.IsAvailableCommand() {
			complete(t, verb, dir)
		}
	}
}

func verbs(cmd *cobra.Command) string {
	var b strings.Builder
	for _, verb := range cmd.Commands() {
		if verb.IsAvailableCommand() {
			b.WriteString(".TP\n\\fB" + verb.Name() + "\\fP\n" + verb.Short + "\n")
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return ".SH VERBS\n" + b.String() + "\n"
}

// files returns the section FILES of a command that reads a configuration, or
// whose verbs do.
func files(cmd *cobra.Command) string {
	if cmd.Flags().Lookup("config") == nil && !cmd.HasSubCommands() {
		return ""
	}
	return manFiles
}

const manFiles = `.SH FILES
.TP
\fI/etc/permalink-milter/permalink-milter.toml\fP
the configuration that packages install, see permalink-milter.toml(5); it is read where --config names none and no
other flag names archives or a registry
.TP
\fI/var/lib/permalink-milter/permalinks.db\fP
the embedded registry of the packaged daemon
.TP
\fI/var/lib/permalink-milter/control.sock\fP
the socket on which the daemon answers the tool
.TP
\fI/var/lib/permalink-milter/journal\fP
what was stamped while the registry did not answer, and the conflicts that this made
.TP
\fI/var/lib/permalink-milter/import-LIST.json\fP
what import has read of a list's archive

`

const manEnvironment = `.SH ENVIRONMENT
.TP
\fBPERMALINK_CONFIG\fP
the configuration to read in place of the installed one; if it is empty, none is read
.TP
\fBPERMALINK_REDIS_PASSWORD\fP
the password of Redis, where the configuration names no file
.TP
\fBNO_COLOR\fP, \fBTERM\fP
no colors and no progress if the one is set, or the other is dumb
`

// make man runs this with -update.
func TestManPagesAreTrue(t *testing.T) {
	dir := t.TempDir()
	if golden.Update() {
		dir = "man"
		os.RemoveAll(dir)
		os.MkdirAll(dir, 0o755)
	}
	manPages(t, dir)
	made, _ := filepath.Glob(dir + "/*.1")
	kept, _ := filepath.Glob("man/*.1")
	if len(made) != len(kept) || len(made) < 6 {
		t.Errorf("%d pages, %d are kept: run make man", len(made), len(kept))
	}
	for _, file := range made {
		if text, _ := os.ReadFile(file); !strings.Contains(string(text), ".SH EXAMPLE") || !strings.Contains(string(text), ".SH ENVIRONMENT") {
			t.Errorf("%s has no examples or no environment", filepath.Base(file))
		}
		want, err := os.ReadFile(filepath.Join("man", filepath.Base(file)))
		got, _ := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the help says: run make man", filepath.Base(file))
		}
	}
}

func TestEveryVerbHasAnExampleAndAShortText(t *testing.T) {
	root := newRoot(stdio{nil, new(bytes.Buffer), new(bytes.Buffer)})
	for _, verb := range root.Commands() {
		if !strings.Contains(verb.Example, "permalink "+verb.Name()) || verb.Short == "" || verb.Long == "" {
			t.Errorf("%s: no example or text", verb.Name())
		}
		verb.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s: no text", verb.Name(), f.Name)
			}
		})
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, out, _ := permalink(t, nil, "completion", shell); code != exitOK || !strings.Contains(out, "permalink") {
			t.Errorf("completion %s: exit %d", shell, code)
		}
	}

}
