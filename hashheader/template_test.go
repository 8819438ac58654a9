package hashheader_test

import (
	"errors"
	"testing"

	"permalink-milter/hashheader"
)

func TestExpandWithTheHashAlone(t *testing.T) {
	const md5 = "7KWUTBTOSSMPYFYZ6UUJ46QCNE"
	for template, want := range map[string]string{
		"https://a.example/{list}/{token}":      "https://a.example/devel@b.example/" + md5 + "-2",
		"https://a.example/{listname}/{hash}":   "https://a.example/devel/" + md5,
		"https://a.example/{md5}?host={host}":   "https://a.example/" + md5 + "?host=b.example",
		"https://a.example/{sha1}/":             "",
		"https://a.example/{token}/{sha256}":    "",
		"https://a.example/{message_id}/{hash}": "",
	} {
		parsed, err := hashheader.ParseTemplate(template)
		if err != nil {
			t.Fatal(err)
		}
		got, err := parsed.Expand(hashheader.Permalink{List: "devel@b.example", Token: md5 + "-2", Hash: md5})
		if got != want || (want == "") != errors.Is(err, hashheader.ErrNeedsID) {
			t.Errorf("%s: got %q, %v; want %q", template, got, err, want)
		}
	}
}
