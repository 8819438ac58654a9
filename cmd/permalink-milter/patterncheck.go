package main

import (
	"fmt"
	"strings"

	"permalink-milter/config"
	"permalink-milter/registry/stamp"
)

// checkPatterns warns of patterns of an archive that match no list's address, and
// of those of except that keep out whatever one of its lists takes in.
func checkPatterns(problems *config.Problems, key string, a stamp.Archive) {
	warn := func(name string, i int, hint, format string, args ...any) {
		problems.AddWarning(fmt.Sprintf("%s.%s[%d]", key, name, i), &config.Hint{Err: fmt.Errorf(format, args...), Do: hint})
	}
	matched := func(name string, patterns []string) {
		for i, pattern := range patterns {
			if !strings.ContainsAny(pattern, "@*?[") {
				warn(name, i, fmt.Sprintf(`write "%[1]s@*", or "*@%[1]s" for a host`, pattern), "%q matches no address", pattern)
			}
		}
	}
	matched("lists", a.Lists)
	matched("except", a.Except)
	for _, list := range append([]string{a.List}, a.Lists...) {
		if strings.ContainsAny(list, "[\\") {
			continue
		}
		for i, pattern := range a.Except {
			if stamp.MatchList(pattern, wildcards.Replace(list)) {
				warn("except", i, "narrow it, or write an except of your own", "%q keeps out all of %q", pattern, list)
			}
		}
	}
}

// wildcards turns a pattern into an address that it matches, and that no pattern
// names by chance.
var wildcards = strings.NewReplacer("*", "q0", "?", "q")
