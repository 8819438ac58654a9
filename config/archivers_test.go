package config_test

import (
	"fmt"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/hashheader/vectors"
)

// archiverPages are the pages whose archive's own code made a part of
// testdata/vectors/peers.jsonl.
var archiverPages = []struct{ page, peer string }{
	{"sympa.md", "sympa-6.2.80"}, {"ietf.md", "ietf-mailarchive"}, {"postgresql.md", "postgresql"}, {"sourcehut.md", "lists.sr.ht"},
}

// pageArchives returns the archives that a page's configuration has; none for a
// page without one.
func pageArchives(t *testing.T, page string) []config.Archive {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("archivers", page))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(data), "```toml\n")
	if !found {
		return nil
	}
	block, _, _ = strings.Cut(block, "```")
	return load(t, block).Archives
}

// pageTemplate returns the template of a page that has one.
func pageTemplate(t *testing.T, page string) hashheader.Template {
	t.Helper()
	archives := pageArchives(t, page)
	if len(archives) != 1 {
		t.Fatalf("%s has %d archives", page, len(archives))
	}
	template, err := hashheader.ParseTemplate(archives[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	return template
}

func TestTheConfigurationOfEachArchiverPageLoads(t *testing.T) {
	pages, err := filepath.Glob("archivers/*.md")
	if err != nil {
		t.Fatal(err)
	}
	index, err := os.ReadFile("archivers/README.md")
	if err != nil {
		t.Fatal(err)
	}
	loaded := 0
	for _, page := range pages {
		name := filepath.Base(page)
		loaded += len(pageArchives(t, name))
		if name != "README.md" && !strings.Contains(string(index), "]("+name+")") {
			t.Errorf("README.md has no link to %s", name)
		}
	}
	if loaded < 12 {
		t.Errorf("the pages have %d archives, there are more", loaded)
	}
}

// agreement counts how often a template makes what an archive's own code makes.
type agreement struct{ all, same, decoded int }

func (a *agreement) count(got, want string) {
	a.all++
	if got == want {
		a.same++
	}
	plain, err := neturl.PathUnescape(got)
	other, otherErr := neturl.PathUnescape(want)
	if err == nil && otherErr == nil && plain == other {
		a.decoded++
	}
}

func (a *agreement) String() string { return fmt.Sprintf("%d of %d | %d", a.same, a.all, a.decoded) }

// compare returns the agreement of a page's template with the code of its
// archive, by the class of the vectors.
func compare(t *testing.T, page, peer string) map[string]*agreement {
	t.Helper()
	template := pageTemplate(t, page)
	ids := make(map[string][]byte)
	for _, v := range vectors.Read(t, "../testdata") {
		ids[v.Name] = v.Canonical
	}
	by := map[string]*agreement{"mailer": {}, "odd": {}}
	for _, p := range vectors.Peers(t, "../testdata") {
		if p.Peer != peer {
			continue
		}
		got, err := template.Expand(hashheader.Permalink{List: "devel@lists.example.org", MessageID: ids[p.Name], Date: "Tue, 24 Nov 2026 11:00:00 +0000"})
		if err != nil {
			t.Fatal(err)
		}
		// What stands before is the same for all messages of the list.
		before := strings.NewReplacer("{listname}", "devel", "%3C", "").Replace(template.String())
		before = before[:strings.IndexByte(before, '{')]
		by[p.Class].count(strings.TrimPrefix(got, before), p.URLPart)
	}
	return by
}

func TestTheTemplatesOfArchiverPagesMakeWhatTheArchivesMake(t *testing.T) {
	index, err := os.ReadFile("archivers/README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range archiverPages {
		by := compare(t, a.page, a.peer)
		mailer := by["mailer"]
		if a.peer != "lists.sr.ht" && mailer.decoded != mailer.all || mailer.all < 100 {
			t.Errorf("%s: the template means the same as %s in %d of %d vectors of class mailer", a.page, a.peer, mailer.decoded, mailer.all)
		}
		row := fmt.Sprintf("| [%s](%s) | %s | %s | %s |\n", a.page, a.page, a.peer, mailer, by["odd"])
		if !strings.Contains(string(index), row) {
			t.Errorf("README.md lacks the row that was counted:\n%s", row)
		}
	}
}

// Two posts to the IETF's list bpf, with the Archived-At that the IETF's archive
// gave them.
func TestTheIETFsOwnFieldsAreReproduced(t *testing.T) {
	template := pageTemplate(t, "ietf.md")
	for id, want := range map[string]string{
		"CADx9qWj0fWWhT4OBLqy9MJ=hSZwSfdWvsn+9AqxmvE_DuEGCTg@mail.gmail.com": "https://mailarchive.ietf.org/arch/msg/bpf/pwqEECoNbGCB5xt9EOcMr1TVIX4",
		"CAADnVQL69iqzxsNRDLKW22B=3sJpO0Yy2yHzioWZmhtQvUwtTQ@mail.gmail.com": "https://mailarchive.ietf.org/arch/msg/bpf/uiDbLYYDolIaEx0-VkPSgT70KCU",
	} {
		if got, err := template.Expand(hashheader.Permalink{List: "bpf@ietf.org", MessageID: []byte(id)}); got != want || err != nil {
			t.Errorf("%s: %s, %v; want %s", id, got, err, want)
		}
	}
}
