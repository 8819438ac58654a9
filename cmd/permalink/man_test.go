package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
}

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
