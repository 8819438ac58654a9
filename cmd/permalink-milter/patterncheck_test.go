package main

import (
	"slices"
	"testing"

	"permalink-milter/cmd/internal/setup"
	"permalink-milter/config"
)

func TestPatternsThatCannotBeMeant(t *testing.T) {
	for text, want := range map[string][]string{
		`lists = ["*@lists.example.org", "de[bv]el@a.example", "?@b.example"]`: nil,
		`lists = ["devel", "*"]`: {`archive[0].lists[0]: "devel" matches no address: write "devel@*", or "*@devel" for a host`},
		`lists = ["*@a.example", "a@b.example"]` + "\nexcept = [\"*@A.example\", \"x@a.example\"]": {`archive[0].except[0]: "*@A.example" keeps out all of "*@a.example": narrow it, or write an except of your own`},
		`list = "a@b.example"` + "\nexcept = [\"*@*\"]":                                            {`archive[0].except[0]: "*@*" keeps out all of "a@b.example": narrow it, or write an except of your own`},
		`lists = ["x-request@a.example"]`:                                                          {`archive[0].except[2]: "*-request@*" keeps out all of "x-request@a.example": narrow it, or write an except of your own`},
	} {
		c, problems := config.Parse("c.toml", []byte("[[archive]]\nname = \"a\"\nurl = \"https://a.example/{token}\"\n"+text+"\n"))
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		checkPatterns(problems, "archive[0]", setup.Archives(c)[0])
		var got []string
		for _, p := range problems.All() {
			got = append(got, p.Key+": "+p.Err.Error())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
