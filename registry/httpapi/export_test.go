package httpapi

import (
	"fmt"
	"strings"
	"time"
)

// Operations returns the patterns of the API's routes.
func Operations() (patterns []string) {
	for _, rt := range api {
		patterns = append(patterns, rt.pattern)
	}
	return patterns
}

// MaxSearched is for tests.
const MaxSearched = maxSearched

// Told returns what the documents say of each bound that has no key, by what
// it bounds.
func Told() map[string]string {
	var o Options
	o.setDefaults()
	return map[string]string{
		"connections of one client":                      fmt.Sprintf("%d, unless it is a trusted proxy", maxConns),
		"time of an idle connection":                     seconds(idleTimeout),
		"header of a request":                            fmt.Sprintf("%s, within %s", kib(maxHeaderSize), seconds(headerTimeout)),
		"requests in progress for one client":            thousands(o.MaxClient),
		"requests in progress in all":                    fmt.Sprintf("%d, and %d that send a message", o.MaxPublic, o.MaxPublic/2),
		"requests at work on a message or a search":      fmt.Sprintf("%d, others wait up to %s", maxWork, seconds(o.Timeout)),
		"a message or a form":                            fmt.Sprintf("%s, within %s", kib(maxPublic), seconds(publicReadTimeout)),
		"messages of a mailbox on the page":              thousands(maxChecked),
		"messages of a choice":                           fmt.Sprintf("%d, archived ones first", maxChoices),
		"lists in a search that names none":              fmt.Sprintf("%s, those of %s messages, and %s", thousands(maxSearched), thousands(maxFound), seconds(o.Timeout)),
		"answers in progress with more than 20 messages": fmt.Sprintf("%d; with a token %d, with the listings", maxPublicLong, maxLong),
		"requests that read all of a hash at once":       fmt.Sprintf("%d, others wait; with a token %d", maxReading, maxReading),
		"with a token: requests in progress":             fmt.Sprintf("%s, and %d with a message", thousands(o.MaxRequests), maxLarge),
	}
}

// Costs returns how many requests a message and a search count as, and for how
// many seconds' worth of requests may come at once.
func Costs() (message, search, seconds int) { return messageCost, searchCost, burst }

func seconds(d time.Duration) string { return strings.TrimSuffix(d.String(), "s") + " s" }

func kib(n int) string { return fmt.Sprintf("%d KiB", n>>10) }

func thousands(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}
