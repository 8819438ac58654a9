package draft

import (
	"encoding/xml"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

// document returns the XML that mmark makes of the draft.
func document(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(need.Program(t, "mmark", "mmark"), filepath.Base(text))
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("mmark: %v\n%s", err, stderr.String())
	}
	// mmark warns about a file that it cannot include, and succeeds.
	if warnings := strings.TrimSpace(stderr.String()); warnings != "" {
		t.Errorf("mmark: %s", warnings)
	}
	return string(out)
}

// walk calls start for each element of the draft, and text for the text in it.
func walk(t *testing.T, start func(xml.StartElement), text func(inside, s string)) {
	t.Helper()
	decoder := xml.NewDecoder(strings.NewReader(document(t)))
	inside := ""
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			inside = token.Name.Local
			start(token)
		case xml.CharData:
			text(inside, string(token))
		case xml.EndElement:
			inside = ""
		}
	}
}

func TestDraftIsWellFormedAndItsReferencesResolve(t *testing.T) {
	anchors, targets := make(map[string]int), make(map[string]bool)
	walk(t, func(e xml.StartElement) {
		for _, a := range e.Attr {
			switch e.Name.Local + " " + a.Name.Local {
			case "xref target":
				targets[a.Value] = true
			case "include href":
				_, name, _ := strings.Cut(strings.TrimSuffix(a.Value, ".xml"), "reference.")
				anchors[strings.Replace(name, "RFC.", "RFC", 1)]++
			default:
				if a.Name.Local == "anchor" {
					anchors[a.Value]++
				}
			}
		}
	}, func(string, string) {})
	for anchor, n := range anchors {
		if n > 1 {
			t.Errorf("%d anchors are named %s", n, anchor)
		}
	}
	for target := range targets {
		if anchors[target] == 0 {
			t.Errorf("a reference to %s has no target", target)
		}
	}
	if len(targets) < 20 {
		t.Errorf("the draft has %d references, want at least 20", len(targets))
	}
}

func TestLinesOfFiguresFitThePage(t *testing.T) {
	figures := 0
	walk(t, func(xml.StartElement) {}, func(inside, s string) {
		if inside != "sourcecode" {
			return
		}
		figures++
		for line := range strings.Lines(s) {
			if len(line) > width+1 {
				t.Errorf("a line of %d characters does not fit the page: %s", len(line)-1, line)
			}
		}
	})
	if figures < 8 {
		t.Errorf("the draft has %d figures, want at least 8", figures)
	}
}
