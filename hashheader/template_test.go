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

func TestExpandWithAClaim(t *testing.T) {
	parsed, err := hashheader.ParseTemplate("https://a.example/{list}/{hash}={claim}")
	if err != nil {
		t.Fatal(err)
	}
	id := hashheader.Identity{0x41, 0xb4, 0x51, 0xb7, 0xff}
	got, err := parsed.Expand(hashheader.Permalink{List: "devel@b.example", MessageID: []byte("abc@example.org"), Algorithm: hashheader.SHA1, Identity: id})
	want := "https://a.example/devel@b.example/GZLPKEL44H7JOP7YXWIPYND25DN4RJAO=41b451b7"
	if err != nil || got != want {
		t.Fatalf("got %q, %v; want %q", got, err, want)
	}
	values, err := parsed.Match(want)
	if err != nil || values["claim"] != "41b451b7" || values["hash"] != "GZLPKEL44H7JOP7YXWIPYND25DN4RJAO" {
		t.Errorf("matched as %v, %v", values, err)
	}
	reference, err := hashheader.ParseReference(values["hash"] + "=" + values["claim"])
	if err != nil || !reference.Claims(id) {
		t.Errorf("%v does not claim the message: %v", reference, err)
	}
	if _, err := hashheader.ParseTemplate("https://a.example/{claim}"); err == nil {
		t.Error("a template of the claim alone is taken: its 32 bits do not distinguish messages")
	}
}
