package main

import (
	"regexp"
	"strings"
	"testing"

	"permalink-milter/config"
)

// bounding matches the keys that bound what others can cost. The time for
// messages in progress at the end is the operator's own.
var bounding = regexp.MustCompile(`\.max_|rate$|timeout$|message_budget$|_ttl$|journal_max_bytes$|trusted_proxies$|socket_mode$`)

func TestOperatingKnowsEachBound(t *testing.T) {
	page := section(t, "What strangers can do")
	defaults := make(map[string]string)
	for _, k := range config.Keys() {
		defaults[k.Path] = k.Default
	}
	told := make(map[string]bool)
	for _, row := range regexp.MustCompile("(?m)^\\| [^|]+ \\| `([^`]+)` \\| ([^|]*) \\|").FindAllStringSubmatch(page, -1) {
		key, value := row[1], row[2]
		if want, ok := defaults[key]; !ok || value != want {
			t.Errorf("config/OPERATING.md says %s is %s by default; it is %q", key, value, want)
		}
		told[key] = true
	}
	for key := range defaults {
		if bounding.MatchString(key) && !told[key] {
			t.Errorf("config/OPERATING.md does not say what happens beyond %s", key)
		}
	}
	for _, m := range selector.FindAllStringSubmatch(page, -1) {
		name := strings.TrimSuffix(m[1], "_count") // of a histogram
		if _, ok := metricLabels(t)[name]; !ok && name != "permalink_milter_http_request_duration_seconds" {
			t.Errorf("config/OPERATING.md names the metric %s, which does not exist", name)
		}
	}
}

// What the page quotes from the log, to its end or to an ellipsis, is logged.
func TestOperatingQuotesTheLog(t *testing.T) {
	logged := []string{"recipient refused", "expired reservations removed", "connection refused", "message stamped"} // of other levels
	for _, dir := range []string{".", "../internal/door", "../../milter", "../../registry"} {
		logged = append(logged, troubles(t, dir)...)
	}
	for _, m := range regexp.MustCompile("`([a-z]+ [A-Za-z][^`]*)`").FindAllStringSubmatch(section(t, "What strangers can do"), -1) {
		begin, cut := strings.CutSuffix(m[1], "…")
		known := strings.HasPrefix(begin, "permalink registry ") || begin == "unreadable entry"
		for _, message := range logged {
			known = known || message == begin || cut && strings.HasPrefix(message, begin)
		}
		if !known {
			t.Errorf("config/OPERATING.md quotes %q, which nothing logs", m[1])
		}
	}
}
