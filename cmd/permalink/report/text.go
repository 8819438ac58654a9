// Package report prints what the verbs found: texts of strangers in a form
// that is safe on a terminal, findings a line or a JSON object each, and their
// summary.
package report

import (
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"golang.org/x/term"

	"permalink-milter/hashheader"
)

// maxText bounds a text from a message in a line, in bytes.
const maxText = 301

// Text returns a text that a stranger wrote, such as a Message-ID or a server's
// reply: printable, and cut to a line's share.
func Text(text string) string {
	if len(text) <= maxText {
		return hashheader.Printable(text)
	}
	end := maxText
	for end > maxText-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return hashheader.Printable(text[:end]) + "…"
}

// Name returns the name of a file, printable and whole.
func Name(file string) string { return hashheader.Printable(file) }

// Plural returns a number with its noun.
func Plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// IsTerminal reports whether a reader or writer is a terminal.
func IsTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// colours reports whether output may be coloured (https://no-color.org).
func colours(w io.Writer) bool {
	return IsTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
