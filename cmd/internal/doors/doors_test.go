// Package doors compares the doors of the program: all parts that read a
// message and name it. They have to agree about every message.
package doors

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
	"permalink-milter/hashheader/headertest"
	"permalink-milter/registry/stamp"
)

// A door answers messages, one answer for each.
type door struct {
	name string
	ask  func(t testing.TB, messages []headertest.Message) []answer
}

// each returns a door that takes one message at a time.
func each(name string, ask func(t testing.TB, data []byte) answer) door {
	return door{name, func(t testing.TB, messages []headertest.Message) []answer {
		out := make([]answer, len(messages))
		for i, m := range messages {
			if !excepted(name, "", m.Data) {
				out[i] = ask(t, m.Data)
			}
		}
		return out
	}}
}

// Where the two archives of the policy show a message.
const tokenSite, hashSite = "https://a.example/", "https://b.example/"

func isOurs(url string) bool {
	return strings.HasPrefix(url, tokenSite) || strings.HasPrefix(url, hashSite)
}

// configuration is what all doors go by.
const configuration = `
[header]
emit = ["Message-ID-MD5", "Message-ID-SHA1"]
[[archive]]
name = "a"
lists = ["*@lists.example.org"]
url = "` + tokenSite + `{list}/{token}"
[[archive]]
name = "b"
lists = ["devel@lists.example.org"]
url = "` + hashSite + `{list}/{year}-{month}/{sha1:base64url}/{md5(message_id,list_id):hex}={claim}"
`

// writeConfig writes the configuration file and returns its name.
func writeConfig(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "permalink-milter.toml")
	text := fmt.Sprintf("hostname = \"mx.example.org\"\nstate_dir = %q\n%s", dir, configuration)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// readPolicy returns the policy that a configuration file means.
func readPolicy(t testing.TB, file string) *stamp.Policy {
	t.Helper()
	c, problems := config.Load(file)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	policy, err := setup.Policy(c)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// inProcess returns the doors that need no program.
func inProcess(t testing.TB) []door {
	t.Helper()
	policy := readPolicy(t, writeConfig(t))
	site := startLMTP(t, policy)
	return []door{
		each("the rule", ruleDoor),
		each("hashheader and stamp", stampDoor(policy)),
		each("the milter", milterDoor(t, policy)),
		each("the API", apiDoor(t, policy)),
		each("the page", pageDoor(t, policy)),
		each("the LMTP server", site.server),
		each("LMTP delivery", site.deliver),
	}
}

var (
	generated = flag.Int("messages", 3000, "how many messages TestDoorsAgree generates")
	seed      = flag.Uint64("seed", 1, "of the generated messages")
)

// maxShown is how many disagreements are printed.
const maxShown = 20

func TestDoorsAgree(t *testing.T) {
	messages, err := headertest.Testdata("../../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	count := *generated
	if testing.Short() {
		count /= 6
	}
	messages = slices.Concat(messages, headertest.Bounds(), headertest.Generate(*seed, count))
	doors := slices.Concat(inProcess(t), toolDoors(t), pythonDoors(t))
	answers := make([][]answer, len(doors))
	for i, d := range doors {
		t.Run(d.name, func(t *testing.T) {
			if answers[i] = d.ask(t, messages); len(answers[i]) != len(messages) {
				t.Fatalf("%d answers to %d messages", len(answers[i]), len(messages))
			}
		})
	}
	if t.Failed() {
		return
	}
	said, bad := 0, 0
	for n, m := range messages {
		var all []answer
		for i := range doors {
			all = append(all, answers[i][n])
			said += len(answers[i][n])
		}
		if text := compare(m.Data, doors, all); text != "" {
			if bad++; bad <= maxShown {
				t.Errorf("%s\n%s", m.Name, text)
			}
		}
	}
	t.Logf("%d messages, %d doors, %d answers, %d disagreements", len(messages), len(doors), said, bad)
}

// compare holds the answers of all doors to one message together. Where they
// disagree, it returns the message and what each door says.
func compare(data []byte, doors []door, answers []answer) string {
	said := make(map[aspect]map[string][]string) // the doors that gave a value
	for i, a := range answers {
		for key, value := range a {
			if excepted(doors[i].name, key, data) {
				continue
			}
			if said[key] == nil {
				said[key] = make(map[string][]string)
			}
			said[key][value] = append(said[key][value], doors[i].name)
		}
	}
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(said)) {
		if len(said[key]) == 1 {
			continue
		}
		for _, value := range slices.Sorted(maps.Keys(said[key])) {
			fmt.Fprintf(&b, "%s %.300q: %s\n", key, value, strings.Join(said[key][value], ", "))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return fmt.Sprintf("%.2000q\n%s", data, b.String())
}

// FuzzDoors compares the doors that need no program.
func FuzzDoors(f *testing.F) {
	for _, m := range headertest.Generate(2, 200) {
		f.Add(m.Data)
	}
	doors := inProcess(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		var answers []answer
		for _, d := range doors {
			answers = append(answers, d.ask(t, []headertest.Message{{Name: "fuzzed", Data: data}})[0])
		}
		if text := compare(data, doors, answers); text != "" {
			t.Error(text)
		}
	})
}
