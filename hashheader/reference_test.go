package hashheader_test

import (
	"errors"
	"strings"
	"testing"

	"permalink-milter/hashheader"
)

func TestParseReference(t *testing.T) {
	id, err := hashheader.ParseIdentity("68c45c01cb2017cd18f1ba410166493c")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		abcMD5:                           abcMD5,
		strings.ToLower(abcMD5) + "-2":   abcMD5 + "-2",
		abcMD5 + "=68C45C01":             abcMD5 + "=68c45c01",
		abcSHA1 + "-3=" + id.String():    abcSHA1 + "-3=" + id.String(),
		abcMD5 + "=":                     "",
		abcMD5 + "=68c45c0":              "",
		abcMD5 + "=68c45c0g":             "",
		abcMD5 + "=" + id.String() + "0": "",
		"=68c45c01":                      "",
		abcMD5[1:] + "=68c45c01":         "",
	} {
		r, err := hashheader.ParseReference(text)
		if want == "" {
			if !errors.Is(err, hashheader.ErrInvalid) {
				t.Errorf("%s: %+v, %v", text, r, err)
			}
			continue
		}
		if err != nil || r.String() != want || (r.Claim != "") != r.Claims(id) {
			t.Errorf("%s: %s, %v, claims %v", text, r, err, r.Claims(id))
		}
	}
}
