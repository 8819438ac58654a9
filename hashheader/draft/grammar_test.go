package draft

import (
	"strings"
	"testing"

	goabnf "github.com/pandatix/go-abnf"
	"pgregory.net/rapid"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/vectors"
	"permalink-milter/registry/lmtp"
)

// grammar returns the draft's grammar, with the core rules of RFC 5234.
func grammar(t *testing.T) *goabnf.Grammar {
	t.Helper()
	_, rest, ok := strings.Cut(draft(t), "~~~ abnf\n")
	rules, _, closed := strings.Cut(rest, "~~~\n")
	if !ok || !closed {
		t.Fatal("the draft has no grammar")
	}
	// ABNF ends its lines with CRLF.
	g, err := goabnf.ParseABNF([]byte(strings.ReplaceAll(rules, "\n", "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func matches(g *goabnf.Grammar, rule, input string) bool {
	ok, err := g.IsValid(rule, []byte(input))
	return err == nil && ok
}

func TestGrammarTakesWhatTheCodeWrites(t *testing.T) {
	g := grammar(t)
	for _, v := range vectors.Read(t, "../../testdata") {
		if len(v.Canonical) == 0 {
			continue
		}
		for _, a := range hashheader.Algorithms {
			hash, err := a.Hash(v.Canonical)
			if err != nil {
				t.Fatal(err)
			}
			for _, field := range []string{a.FieldName(), "List-" + a.FieldName()} {
				if line := field + ": " + hash + "\r\n"; !matches(g, "hash-field", line) {
					t.Errorf("the grammar does not match %q", line)
				}
			}
		}
	}
}

func TestGrammarAndCodeAgreeOnHashes(t *testing.T) {
	g := grammar(t)
	fields := map[hashheader.Algorithm]string{hashheader.MD5: "md5-field", hashheader.SHA1: "sha1-field", hashheader.SHA256: "sha256-field"}
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.SampledFrom(hashheader.Algorithms[:]).Draw(t, "algorithm")
		length := a.HashLen() + rapid.SampledFrom([]int{-1, 0, 0, 0, 0, 1}).Draw(t, "more")
		value := rapid.StringOfN(rapid.SampledFrom([]rune("ABQYaq24567")), length, length, -1).Draw(t, "value")
		value += rapid.SampledFrom([]string{"", "", "=", "======", "1", "-2"}).Draw(t, "tail")
		_, err := a.ParseHash(value)
		if field := a.FieldName() + ": " + value + "\r\n"; matches(g, fields[a], field) != (err == nil) {
			t.Errorf("%q: the code says %v", field, err)
		}
	})
}

func TestGrammarAndCodeAgreeOnTokens(t *testing.T) {
	g := grammar(t)
	hash := "7KWUTBTOSSMPYFYZ6UUJ46QCNE"
	for _, tail := range []string{"", "-2", "-9", "-10", "-99", "-100", "-999", "-1", "-0", "-02", "-1000", "-", "-x", "=", "-2-3", "+"} {
		_, _, err := hashheader.ParseToken(hash + tail)
		if matches(g, "token", hash+tail) != (err == nil) {
			t.Errorf("%q: the code says %v", tail, err)
		}
	}
}

func TestGrammarAndServerAgreeOnRecipients(t *testing.T) {
	g := grammar(t)
	hash := "7KWUTBTOSSMPYFYZ6UUJ46QCNE"
	for _, tail := range []string{"", "-2", "=96b25f48", "=96B25F48", "=96b25f4", "=96b25f4x", "-3=" + strings.Repeat("0", 32), "=" + strings.Repeat("0", 33),
		"+devel", "-2=96b25f48+c++-users", "+", "=+devel", "+de vel", "+de\"vel", "+gr\u00fc", "-1", "-1000+devel"} {
		_, err := lmtp.ParseAddress(hash + tail + "@archive.example.org")
		if matches(g, "rcpt-local-part", hash+tail) != (err == nil) {
			t.Errorf("%q: the server says %v", tail, err)
		}
	}
}

func TestGrammarReadsFoldedAndLegacyFields(t *testing.T) {
	g := grammar(t)
	for field, want := range map[string]bool{
		"Message-ID-MD5:\r\n\t7kwutbtossmpyfyz6uuj46qcne======\r\n ":       false,
		"message-id-md5 :\r\n\t7kwutbtossmpyfyz6uuj46qcne======\r\n \r\n":  true,
		"X-Message-ID-Hash: JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP\r\n":          true,
		"Message-ID-Hash: JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP\r\n":            true,
		"Message-ID-Hash: 7KWUTBTOSSMPYFYZ6UUJ46QCNE\r\n":                  false,
		"Message-ID-MD5: 7KWUTBTOSSMPYFYZ6UUJ46QCNE-2\r\n":                 false,
		"Message-ID-MD6: 7KWUTBTOSSMPYFYZ6UUJ46QCNE\r\n":                   false,
		"Hashed-Message-ID-MD5: 7KWUTBTOSSMPYFYZ6UUJ46QCNE\r\n":            true,
		"HashedMessage-ID-MD5: 7KWUTBTOSSMPYFYZ6UUJ46QCNE\r\n":             false,
		"Message-ID-SHA1: JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP JJIGKPKB\r\n\t": false,
	} {
		if got := matches(g, "hash-field", field); got != want {
			t.Errorf("%q: %v, want %v", field, got, want)
		}
	}
}
