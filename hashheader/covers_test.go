package hashheader_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"permalink-milter/hashheader"
)

// forged returns the values of testdata/forged-archived-at.txt, each a line
// with its folds escaped.
func forged(t *testing.T) (values []string) {
	t.Helper()
	data, err := os.ReadFile("../testdata/forged-archived-at.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(data) {
		values = append(values, strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t").Replace(strings.TrimSuffix(string(line), "\n")))
	}
	return values
}

// However a forged permalink is spelled, it lies under the template, and no
// check of the message passes.
func TestForgedPermalinksLieUnderTheTemplate(t *testing.T) {
	template, err := hashheader.ParseTemplate("https://a.example/{list}/{token}")
	if err != nil {
		t.Fatal(err)
	}
	values := forged(t)
	if len(values) < 18 {
		t.Fatalf("%d values", len(values))
	}
	for _, value := range values {
		if !template.Covers(value) {
			t.Errorf("%q is another site's", value)
		}
		h := hashheader.Header{{Name: "Message-ID", Value: "<abc@example.org>"}, {Name: "Archived-At", Value: value}}
		for _, check := range hashheader.Examine(h, hashheader.Site{Templates: []hashheader.Template{template}}) {
			if strings.EqualFold(check.Field, "Archived-At") && check.Result.Fine() {
				t.Errorf("%q: %+v", value, check)
			}
		}
	}
	for _, value := range []string{"<https://b.example/x>", "<https://xa.example/x>", "<https://a.example.org/x>", "<https://a.example@b.example/x>",
		"<ftp://b.example/x>", "<https://b.example/a.example/x>", "<https://a.example:8443/x>", "<>", ""} {
		if template.Covers(value) {
			t.Errorf("%q is taken for ours", value)
		}
	}
}

func TestCoversWithAnIPv6Address(t *testing.T) {
	template, err := hashheader.ParseTemplate("https://[2001:db8::1]:8443/{token}")
	if err != nil {
		t.Fatal(err)
	}
	for value, want := range map[string]bool{
		"<https://[2001:DB8::1]:8443/x>": true,
		"[2001:db8::1]/x":                true,
		"<https://[2001:db8::1]/x>":      false,
		"<https://[2001:db8::2]:8443/x>": false,
		"the archive of 2001":            false,
	} {
		if got := template.Covers(value); got != want {
			t.Errorf("%q lies under the template: %t", value, got)
		}
	}
}
