package mailmantest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A row is what each program makes of one vector; nil where it fails.
type row struct {
	Name, Class, SHA1, form               string
	Header                                []byte
	Mailman, Hyperkitty, Plugin, Archiver *string
	tool, api                             string
}

// agreement runs all vectors through all programs.
func agreement(t *testing.T, s *Site, a *archive) []*row {
	t.Helper()
	vectors, err := os.ReadFile("../../../testdata/vectors/message-id.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Mailman.Run(t.Context(), string(vectors), s.Mailman.file("python/agree.py"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []*row
	answers := json.NewDecoder(bytes.NewReader(out))
	for line := range bytes.Lines(vectors) {
		r := new(row)
		if err := json.Unmarshal(line, r); err != nil {
			t.Fatal(err)
		}
		if err := answers.Decode(r); err != nil {
			t.Fatalf("%s: %v", r.Name, err)
		}
		generator, shape, _ := strings.Cut(r.Name, "/")
		r.form = generator
		if r.Class == "mailer" {
			r.form = shape
		}
		rows = append(rows, r)
	}
	hashWithTool(t, rows)
	for _, r := range rows {
		r.api = hashWithAPI(t, a, r.Header)
	}
	return rows
}

// hashWithAPI asks the daemon; "" for a message whose Message-ID it would have to derive.
func hashWithAPI(t *testing.T, a *archive, header []byte) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.client.Base+"/api/v1/messages", bytes.NewReader(header))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "message/rfc822")
	request.Header.Set("Authorization", "Bearer "+a.client.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer struct {
		Derived bool
		Hashes  map[string]string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	if answer.Derived {
		return ""
	}
	return answer.Hashes["sha1"]
}

// hashWithTool runs "permalink hash" on each message.
func hashWithTool(t *testing.T, rows []*row) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"run", "permalink-milter/cmd/permalink", "hash", "--algorithm", "sha1"}
	byFile := make(map[string]*row)
	for i, r := range rows {
		file := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(file, r.Header, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, file)
		byFile[file] = r
	}
	// It fails for the messages without a Message-ID, and hashes the others.
	out, _ := exec.CommandContext(t.Context(), "go", args...).Output()
	for line := range strings.Lines(string(out)) {
		hash, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		byFile[file].tool = hash
	}
}

func testVectors(t *testing.T, s *Site, a *archive) {
	rows := agreement(t, s, a)
	t.Run("the plugin, the tool, the API and HyperKitty agree", func(t *testing.T) { checkAgreement(t, rows) })
	t.Run("where they do not is documented", func(t *testing.T) { checkDocumented(t, rows) })
}

func checkAgreement(t *testing.T, rows []*row) {
	for _, r := range rows {
		if got := deref(r.Plugin); got != r.SHA1 || r.tool != r.SHA1 || r.api != r.SHA1 {
			t.Errorf("%s: the plugin hashes %q, permalink hash %q, the API %q, want %q", r.Name, got, r.tool, r.api, r.SHA1)
		}
		if r.form != "name-space" && deref(r.Archiver) != r.SHA1 {
			t.Errorf("%s: the archiver hashes %q of the parsed message, want %q", r.Name, deref(r.Archiver), r.SHA1)
		}
		if r.Class == "mailer" && deref(r.Hyperkitty) != r.SHA1 {
			t.Errorf("%s: HyperKitty's page has %q, want %q", r.Name, deref(r.Hyperkitty), r.SHA1)
		}
	}
}

// checkDocumented holds the README's table to what Mailman and HyperKitty do: a row for each form of id where one of
// them differs from the rule, and no others.
func checkDocumented(t *testing.T, rows []*row) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string][]string)
	for line := range strings.Lines(string(readme)) {
		cells := strings.Split(line, " | ")
		if len(cells) == 5 && strings.HasPrefix(line, "| `") {
			documented[strings.Trim(cells[0], "| `")] = cells[2:4]
		}
	}
	verdicts := make(map[string][2]string)
	for _, r := range rows {
		v := verdicts[r.form]
		verdicts[r.form] = [2]string{verdict(v[0], r.Mailman, r.SHA1), verdict(v[1], r.Hyperkitty, r.SHA1)}
	}
	for form, v := range verdicts {
		row, ok := documented[form]
		if agree := v == [2]string{"agrees", "agrees"}; ok == agree || ok && !(says(row[0], v[0]) && says(row[1], v[1])) {
			t.Errorf("%s: Mailman %s, HyperKitty %s; the table in registry/mailman/README.md has %q", form, v[0], v[1], row)
		}
		delete(documented, form)
	}
	if len(documented) > 0 {
		t.Errorf("the table in registry/mailman/README.md has forms that are not: %q", documented)
	}
}

// says tells if a cell of the table has a verdict. Where it has two, Python's
// version decides.
func says(cell, verdict string) bool { return slices.Contains(strings.Split(cell, " or "), verdict) }

// verdict is a form's, the worst of its rows'.
func verdict(before string, hash *string, want string) string {
	switch {
	case hash == nil || before == "fails":
		return "fails"
	case *hash != want || before == "differs":
		return "differs"
	}
	return "agrees"
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
