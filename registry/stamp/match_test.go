package stamp_test

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"permalink-milter/registry/stamp"
)

// What is known before path.Match is called changes no answer.
func TestMatchListIsPathMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab*@/?\[\]\\A^-]{0,8}`).Draw(t, "pattern")
		list := rapid.StringMatching(`[ab@/*?\[\\B-]{1,8}`).Draw(t, "list")
		want, _ := path.Match(strings.ToLower(pattern), strings.ToLower(list))
		if got := stamp.MatchList(pattern, list); got != want {
			t.Errorf("MatchList(%q, %q) is %v", pattern, list, got)
		}
	})
}

// exceptions are patterns such as archive.except has.
var exceptions = func() (patterns []string) {
	for _, suffix := range []string{"bounces", "request", "owner", "join", "leave", "subscribe", "unsubscribe", "confirm"} {
		patterns = append(patterns, "*-"+suffix+"@*", "*-"+suffix+"+*@*")
	}
	return append(patterns, "*=*@*")
}()

// longAddress is one that anybody may write into To, and that no pattern of a
// list manager's addresses matches.
var longAddress = strings.Repeat("-+", 112) + "x@lists.example.org"

// BenchmarkMatchAny compares MatchAny with path.Match alone. Whoever names
// thousands of addresses must not keep the filter busy with the patterns of each.
func BenchmarkMatchAny(b *testing.B) {
	b.Run("MatchAny", func(b *testing.B) {
		for b.Loop() {
			stamp.MatchAny(exceptions, longAddress)
		}
	})
	b.Run("path.Match", func(b *testing.B) {
		for b.Loop() {
			for _, pattern := range exceptions {
				_, _ = path.Match(pattern, longAddress)
			}
		}
	})
}
