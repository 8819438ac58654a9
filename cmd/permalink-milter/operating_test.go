package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

const monitoring = "../../config/monitoring/"

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// selector matches the name of a metric and the braces that may follow it, in
// PromQL and in the golden file of the metrics.
var selector = regexp.MustCompile(`(permalink_milter_[a-z_]+)(?:\{([^}]*)\})?`)

// metricLabels returns the labels of each metric.
func metricLabels(t *testing.T) map[string][]string {
	t.Helper()
	metrics := make(map[string][]string)
	for line := range strings.Lines(read(t, "testdata/metrics.golden")) {
		if m := selector.FindStringSubmatch(line); m != nil && strings.HasPrefix(line, m[0]) {
			metrics[m[1]] = strings.Split(m[2], ",")
		}
	}
	return metrics
}

func TestMonitoringNamesMetricsThatExist(t *testing.T) {
	metrics := metricLabels(t)
	label := regexp.MustCompile(`(\w+)\s*(?:=~|!=|!~|=)\s*\\?"`)
	named := make(map[string]bool)
	for _, file := range []string{"alerts.yml", "dashboard.json"} {
		for _, m := range selector.FindAllStringSubmatch(read(t, monitoring+file), -1) {
			name := strings.TrimSuffix(m[1], "_bucket")
			labels, ok := metrics[name]
			if !ok {
				t.Errorf("%s: no metric is named %s", file, m[1])
			}
			for _, l := range label.FindAllStringSubmatch(m[2], -1) {
				if l[1] != "instance" && !slices.Contains(labels, l[1]) {
					t.Errorf("%s: %s has no label %s", file, name, l[1])
				}
			}
			named[file+name] = true
		}
	}
	for name := range metrics {
		if !named["dashboard.json"+name] {
			t.Errorf("dashboard.json does not show %s", name)
		}
	}
}

func TestAlertsFire(t *testing.T) {
	promtool := need.Program(t, "promtool", "prometheus")
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = monitoring
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}
}

// section returns the text under a heading of the operator's guide.
func section(t *testing.T, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, "../../config/OPERATING.md"), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("config/OPERATING.md has no section %q", heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}

// rows returns the first cells of the tables in a text.
func rows(text string) map[string]bool {
	cells := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?m)^\\| `?(.*?)`? \\|").FindAllStringSubmatch(text, -1) {
		cells[m[1]] = true
	}
	delete(cells, "---")
	return cells
}

func TestOperatingExplainsEachAlert(t *testing.T) {
	told := rows(section(t, "Monitoring"))
	delete(told, "alert")
	there := make(map[string]bool)
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(read(t, monitoring+"alerts.yml"), -1) {
		there[m[1]] = true
	}
	compare(t, there, told)
}

func TestOperatingExplainsEachLogMessage(t *testing.T) {
	told := rows(section(t, `Log messages that mean "do something"`))
	delete(told, "message")
	// The messages that the milter logs at level error when the registry failed.
	there := map[string]bool{"message unmarked": true, "message tempfail": true, "message stamped": true, "message unchanged": true, "message observed": true}
	for _, dir := range []string{".", "../internal/door", "../../milter", "../../registry"} {
		for _, message := range troubles(t, dir) {
			there[message] = true
		}
	}
	compare(t, there, told)
}

func compare(t *testing.T, there, told map[string]bool) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(there)) {
		if !told[name] {
			t.Errorf("config/OPERATING.md does not say what to do about %q", name)
		}
		delete(told, name)
	}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		t.Errorf("config/OPERATING.md explains %q, which does not exist", name)
	}
}

// troubles returns the messages that the packages below a directory log at the
// levels warn and error.
func troubles(t *testing.T, dir string) (messages []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") || strings.Contains(name, "registrytest") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if message, ok := trouble(n); ok {
				messages = append(messages, message)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return messages
}

// trouble returns the message of a call such as log.Warn("message", …).
func trouble(n ast.Node) (message string, ok bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", false
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || method.Sel.Name != "Warn" && method.Sel.Name != "Error" {
		return "", false
	}
	text, ok := call.Args[0].(*ast.BasicLit)
	if !ok || text.Kind != token.STRING {
		return "", false
	}
	message, err := strconv.Unquote(text.Value)
	return message, err == nil
}
