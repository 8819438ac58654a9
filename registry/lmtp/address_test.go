package lmtp

import (
	"strings"
	"testing"

	"permalink-milter/hashheader"
)

func TestAddressesReadAndWritten(t *testing.T) {
	sha256, _ := hashheader.SHA256.Hash([]byte("x"))
	for text, want := range map[string]string{
		hash + "@a.example":                           hash + "@a.example",
		strings.ToLower(hash) + "-12+Devel@A.Example": hash + "-12+devel@a.example",
		hash + "=0123ABCD+a+b@a.example":              hash + "=0123abcd+a+b@a.example",
		sha256 + "-999=01234567@a.example":            sha256 + "-999=01234567@a.example",
		hash + "+größe@a.example":                     hash + "+größe@a.example",
		hash:                                          "",
		"@a.example":                                  "",
		hash + "@":                                    "",
		hash + "+@a.example":                          "",
		hash + "=@a.example":                          "",
		hash + "=0123456@a.example":                   "",
		hash + "=xyzxyzxyz@a.example":                 "",
		hash + "-1@a.example":                         "",
		hash + "-1000@a.example":                      "",
		hash + "+a>\r\nQUIT@a.example":                "",
		hash + "@a.example@b.example":                 "",
		"devel@a.example":                             "",
	} {
		a, err := ParseAddress(text)
		if want == "" != (err != nil) || err == nil && a.String() != want {
			t.Errorf("%q: %q, %v", text, a, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add(hash + "-2=0123abcd+devel@archive.example.org")
	f.Add("@+=-")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			return
		}
		again, err := ParseAddress(a.String())
		if err != nil || again != a {
			t.Errorf("%q is %+v, which is %+v, %v", text, a, again, err)
		}
		if strings.ContainsAny(a.String(), "<>\r\n \x00") {
			t.Errorf("%q is syntax in a reply", a)
		}
	})
}

func FuzzSuggestion(f *testing.F) {
	f.Add("Permalink already occupied, try <" + hash + "-2@archive.example.org>")
	f.Add("<<<" + hash + "@archive.example.org>>")
	f.Fuzz(func(t *testing.T, text string) {
		a := Address{Reference: hashheader.Reference{Hash: hash, Ordinal: 1}, Domain: "archive.example.org"}
		got, ok := a.suggestion(text)
		if got.at(1) != a || got.Ordinal < 1 || got.Ordinal > hashheader.MaxOrdinal || !ok && got != a {
			t.Errorf("%q: %+v, %t", text, got, ok)
		}
	})
}
