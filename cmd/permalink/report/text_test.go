package report

import (
	"strings"
	"testing"
)

func TestTextOfMessagesIsSafeOnATerminal(t *testing.T) {
	for text, want := range map[string]string{
		"grüße@example.org":       "grüße@example.org",
		"a\x1b[31mb\x07":          `a\u001b[31mb\u0007`,
		"latin1-\xfc":             `latin1-\xfc`,
		"\ufffd stays":            "\ufffd stays",
		"\u202eevil\u2066":        `\u202eevil\u2066`,
		"c1 \u009b31m":            `c1 \u009b31m`,
		"marks \u200f\u061c":      `marks \u200f\u061c`,
		"hidden \u200b\U000e0041": `hidden \u200b\ue0041`,
		strings.Repeat("x", 400):  strings.Repeat("x", maxText) + "…",
	} {
		if got := Text(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
