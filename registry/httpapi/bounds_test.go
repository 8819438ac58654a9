package httpapi_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"permalink-milter/registry/httpapi"
)

// The operator's guide has the numbers of the code. The test of the daemon
// compares those that have a key, http.rate among them.
func TestTheGuideHasTheBoundsOfTheCode(t *testing.T) {
	guide := string(must(os.ReadFile("../../config/OPERATING.md")))
	_, table, _ := strings.Cut(guide, "### At [http]")
	table, _, _ = strings.Cut(table, "\n### ")
	told := httpapi.Told()
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| +\| ([^|]+) \|`).FindAllStringSubmatch(table, -1) {
		if want, ok := told[row[1]]; !ok || row[2] != want {
			t.Errorf("config/OPERATING.md says of %q %q; it is %q", row[1], row[2], want)
		}
		delete(told, row[1])
	}
	for bound := range told {
		t.Errorf("config/OPERATING.md does not have %q", bound)
	}
	if message, search, _ := httpapi.Costs(); message != 5 || search != 5 || !strings.Contains(table, "a message or a search counts as five") {
		t.Errorf("a message costs %d, a search %d: config/OPERATING.md says otherwise", message, search)
	}
	if _, _, seconds := httpapi.Costs(); seconds != 10 || !strings.Contains(table, "Ten seconds' worth may come at once") {
		t.Errorf("%d seconds' worth: config/OPERATING.md says otherwise", seconds)
	}
}

// So have the README, the description of the API and the page itself.
func TestTheOtherDocumentsHaveTheBoundsOfTheCode(t *testing.T) {
	told := httpapi.Told()
	inProgress, withMessage, _ := strings.Cut(told["with a token: requests in progress"], ", and ")
	size, _, _ := strings.Cut(told["a message or a form"], ",")
	_, timeout, _ := strings.Cut(told["requests at work on a message or a search"], "up to ")
	for file, sentences := range map[string][]string{
		"README.md": {fmt.Sprintf("The registry has %s to answer a request", timeout), "At most " + inProgress + " requests with a token",
			strings.TrimSuffix(withMessage, " with a message") + " of them with a message"},
		"openapi.json":             {"without a token a body may have " + size + ", and must arrive within five seconds"},
		"page/templates/home.html": {"may have " + strings.Replace(size, "KiB", "KB", 1) + " at most"},
		"page/static/page.js":      {"the server takes " + size},
	} {
		text := strings.Join(strings.Fields(string(must(os.ReadFile(file)))), " ")
		for _, sentence := range sentences {
			if !strings.Contains(text, sentence) {
				t.Errorf("%s does not say %q", file, sentence)
			}
		}
	}
}
