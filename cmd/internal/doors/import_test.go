package doors

import (
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"permalink-milter/hashheader/headertest"
)

var imported = regexp.MustCompile(`(?m)^.*/(\d{6}):\d+: (error|missing): (.*)$`)

// importAll answers by what permalink import reserves and reports. The registry
// knows no file names: a message's answer is its own hash and identity if they
// are in it, and every reservation has to be a message's.
func (p *tool) importAll(t testing.TB, messages []headertest.Message) []answer {
	answers := make([]answer, len(messages))
	store := "bolt:" + filepath.Join(t.TempDir(), "registry.db")
	out, _ := p.run(t, "", "import", "--list", "devel@lists.example.org", "--registry", store, p.maildir(t, messages))
	for _, line := range imported.FindAllStringSubmatch(out, -1) {
		a := because(line[3])
		switch {
		case strings.Contains(line[3], "an id was derived"):
			a = answer{own: none, name: derived}
		case strings.HasPrefix(line[3], "skipped: it has neither"):
			a = unnamed(none)
		}
		answers[numbered(line[1])] = a
	}
	reserved := p.reservations(t, store)
	decide := stampDoor(readPolicy(t, p.config))
	for i, m := range messages {
		if answers[i] == nil {
			answers[i] = answer{own: found, name: found}
		}
		want := decide(t, m.Data)
		key := reservation{want[md5], want[identity]}
		if _, ok := reserved[key]; ok {
			reserved[key] = true
			answers[i][md5], answers[i][identity] = key.hash, key.identity
		} else if answers[i][name] == found || answers[i][name] == derived {
			answers[i][md5] = "not in the registry"
		}
	}
	for key, known := range reserved {
		if !known {
			t.Errorf("%s is reserved for %s, which is no message", key.hash, key.identity)
		}
	}
	return answers
}

// A reservation is one of an import.
type reservation struct{ hash, identity string }

func (p *tool) reservations(t testing.TB, store string) map[reservation]bool {
	all := make(map[reservation]bool)
	out, _ := p.run(t, "", "lookup", "--all", "--json", "--registry", store)
	for line := range strings.Lines(out) {
		var r struct{ Token, Identity string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		hash, _, _ := strings.Cut(r.Token, "-")
		all[reservation{hash, r.Identity}] = false
	}
	return all
}
