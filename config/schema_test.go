package config_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/golden"
)

func TestExampleIsWhatIsGeneratedAndLoads(t *testing.T) {
	var b strings.Builder
	if err := config.Write(&b, config.Example()); err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "example.toml", b.String())
	if diff := cmp.Diff(config.Example(), load(t, b.String()), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("example.toml differs from Example:\n%s", diff)
	}
}

func TestConfigurationOfTheMainReadmeLoads(t *testing.T) {
	data, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(data), "```toml\n")
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatal("README.md has no ```toml block")
	}
	if c := load(t, block); len(c.Archives) != 1 {
		t.Errorf("%+v", c)
	}
}

func TestReadmeHasTheKeys(t *testing.T) {
	const start, end = "<!-- keys: go test ./config -update -->\n", "<!-- end of keys -->\n"
	data, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(data), start)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("README.md lacks the lines %q and %q", start, end)
	}
	golden.Equal(t, "README.md", before+start+table()+end+after)
}

// table returns the schema as a Markdown table.
func table() string {
	var b strings.Builder
	b.WriteString("| key | default | SIGHUP | meaning |\n| --- | --- | --- | --- |\n")
	for _, k := range config.Keys() {
		reload := ""
		if k.Reload {
			reload = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Path, k.Default, reload, k.Doc)
	}
	return b.String()
}

// The error for an unknown placeholder lists those that exist.
func TestEveryPlaceholderIsDescribed(t *testing.T) {
	_, err := hashheader.ParseTemplate("https://a.example/{nothing}")
	_, list, _ := strings.Cut(err.Error(), "there are ")
	for _, k := range config.Keys() {
		if k.Path == "archive.url" && !strings.Contains(k.Doc, "{token}") {
			t.Errorf("archive.url: %q", k.Doc)
		}
		for placeholder := range strings.FieldsSeq(list) {
			if k.Path == "archive.url" && !strings.Contains(k.Doc, placeholder) {
				t.Errorf("archive.url does not describe %s", placeholder)
			}
		}
	}
}

func TestEveryKeyIsDescribed(t *testing.T) {
	for _, k := range config.Keys() {
		if !strings.HasSuffix(k.Doc, ".") || strings.Contains(k.Doc, "|") {
			t.Errorf("%s: comment %q: write a sentence", k.Path, k.Doc)
		}
	}
}

func TestKeysThatNeedARestart(t *testing.T) {
	const before = "hostname = \"a\"\n[milter]\nlisten = [\"127.0.0.1:1\"]\n[lmtp]\nlisten = \"127.0.0.1:24\"\n[[lmtp.domain]]\ndomain = \"d\"\nlist = \"l@d\"\ndeliver = \"lmtp:a:1\"\n"
	for after, want := range map[string][]string{
		before: nil,
		strings.Replace(before, `"a"`, `"b"`, 1) + "[header]\nunmatched = \"skip\"\n":                                          {"lmtp.hostname"},
		strings.Replace(before, ":1", ":2", 1) + "[log]\nformat = \"json\"\nlevel = \"debug\"\n":                               {"log.format", "milter.listen"},
		before + "[[lmtp.domain]]\ndomain = \"e\"\nlist = \"l@e\"\ndeliver = \"lmtp:a:1\"\n":                                   {"lmtp.domain[1].domain", "lmtp.domain[1].list", "lmtp.domain[1].deliver"},
		"hostname = \"a\"\n[milter]\nlisten = [\"127.0.0.1:1\"]\n[[archive]]\nname=\"n\"\nlist=\"l@b\"\nurl=\"" + url + "\"\n": {"lmtp.listen", "lmtp.hostname", "lmtp.domain[0].domain", "lmtp.domain[0].list", "lmtp.domain[0].deliver"},
	} {
		if diff := cmp.Diff(want, config.Restart(load(t, before), load(t, after))); diff != "" {
			t.Errorf("%s\n%s", after, diff)
		}
	}
}

func TestPasswordsAreMasked(t *testing.T) {
	for url, want := range map[string]string{
		"bolt:a@b:c.db":                        "bolt:a@b:c.db",
		"redis://h:6379/0":                     "redis://h:6379/0",
		"redis://user@h:6379/0":                "redis://user@h:6379/0",
		"redis://:secret@h":                    "redis://:xxxxx@h",
		"rediss://u:sec@ret@h/0":               "rediss://u:xxxxx@h/0",
		"redis+sentinel://u:secret@a:1,b:2/my": "redis+sentinel://u:xxxxx@a:1,b:2/my",
	} {
		c := config.Default()
		c.Registry.URL = url
		var b strings.Builder
		if err := config.Write(&b, c); err != nil {
			t.Fatal(err)
		}
		if got := config.MaskURL(url); got != want || !strings.Contains(b.String(), want) || strings.Contains(b.String(), "sec") && strings.Contains(b.String(), "ret@") {
			t.Errorf("%s: %s", url, got)
		}
	}
}
