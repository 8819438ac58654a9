package conform

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/golden"
)

const draftFolder = "../../../hashheader/draft/"

// TestTheDraftNamesEveryRequirement makes the draft's appendix.
func TestTheDraftNamesEveryRequirement(t *testing.T) {
	var b strings.Builder
	b.WriteString("| Identifier | Section | Level | Requirement | Profiles |\n|:--|:--|:--|:--|:--|\n")
	for _, r := range Requirements {
		fmt.Fprintf(&b, "| %s | (#%s) | %s | %s | %s |\n", r.ID, r.Section, r.Level, r.Says, strings.Join(r.Profiles, ", "))
	}
	b.WriteString("\nThese sentences with a key word cannot be observed from outside:\n\n")
	for _, u := range Unobserved {
		fmt.Fprintf(&b, "* (#%s): \"%s\", since %s.\n", u.Section, strings.ReplaceAll(strings.TrimSuffix(u.Quote, "."), "**", ""), u.Why)
	}
	golden.Equal(t, draftFolder+"conformance.md", b.String())
}

var keyWord = regexp.MustCompile(`\*\*(MUST|SHOULD)( NOT)?\*\*`)

// TestEverySentenceWithAKeyWordIsAccountedFor wants each MUST and SHOULD of the
// draft to be in a quote, and each quote in its section.
func TestEverySentenceWithAKeyWordIsAccountedFor(t *testing.T) {
	text := read(t, draftFolder+"draft-hashed-message-id-00.md")
	_, text, _ = strings.Cut(text, "{#terms}")
	text, _, _ = strings.Cut(text, "{#conformance}")
	for _, r := range Requirements {
		for _, quote := range r.Quotes {
			text = take(t, text, quote)
			level := string(r.Level)
			if !strings.Contains(quote, "**"+level) {
				t.Errorf("%s is a %s: %s", r.ID, level, quote)
			}
		}
		if !strings.Contains(text, "{#"+r.Section+"}") {
			t.Errorf("%s: no section %s", r.ID, r.Section)
		}
	}
	for _, u := range Unobserved {
		text = take(t, text, u.Quote)
		if !strings.Contains(text, "{#"+u.Section+"}") {
			t.Errorf("%s: no section %s", u.Quote, u.Section)
		}
	}
	for _, at := range keyWord.FindAllStringIndex(text, -1) {
		t.Errorf("neither a requirement nor unobserved: %s", text[max(0, at[0]-100):min(len(text), at[1]+100)])
	}
}

// take returns the text without a quote, which has to be in it once.
func take(t *testing.T, text, quote string) string {
	t.Helper()
	if n := strings.Count(text, quote); n != 1 || !keyWord.MatchString(quote) {
		t.Errorf("%d times in the draft: %s", n, quote)
	}
	return strings.Replace(text, quote, "", 1)
}

// TestEveryRequirementHasATest holds the runner to the table: each profile
// tests what the table says, and nothing else.
func TestEveryRequirementHasATest(t *testing.T) {
	archive, err := Archive(ArchiveTarget{})
	if err != nil {
		t.Fatal(err)
	}
	filter, err := Filter(FilterTarget{Template: forgedTemplate(t), Algorithm: hashheader.MD5})
	if err != nil {
		t.Fatal(err)
	}
	resolver, err := Resolver(ResolverTarget{Base: &url.URL{}, Message: probe})
	if err != nil {
		t.Fatal(err)
	}
	profiles := map[string][]Test{"hash": Hash(nil), "archive": archive, "filter": filter, "resolver": resolver}
	for profile, tests := range profiles {
		for _, test := range tests {
			if r, ok := Find(test.ID); !ok || !slices.Contains(r.Profiles, profile) {
				t.Errorf("%s tests %s, which is not a requirement of it", profile, test.ID)
			}
		}
	}
	seen := make(map[string]bool)
	for _, r := range Requirements {
		for _, profile := range r.Profiles {
			if len(only(profiles[profile], r.ID)) == 0 {
				t.Errorf("%s does not test %s", profile, r.ID)
			}
		}
		if seen[r.ID] || len(r.Profiles) == 0 {
			t.Errorf("%s: twice, or of no profile", r.ID)
		}
		seen[r.ID] = true
	}
}
