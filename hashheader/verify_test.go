package hashheader_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/golden"
	"permalink-milter/hashheader/vectors"
)

const (
	abcMD5    = "VP3JZR3MSKY5TQSMS5FHURHQXI"
	abcSHA1   = "GZLPKEL44H7JOP7YXWIPYND25DN4RJAO"
	otherMD5  = "2FSRUHO6FOQVW42UNHOYWCUTJI"
	underURL  = "https://lists.example.org/devel@lists.example.org/"
	abcHeader = "Message-ID: <abc@example.org>\n"
)

// headers are header sections by what they show.
var headers = []struct{ name, text string }{
	{"nothing at all", ""},
	{"a Message-ID alone", abcHeader},
	{"a right hash", abcHeader + "Message-ID-MD5: " + abcMD5 + "\n"},
	{"lower case and padding", abcHeader + "message-id-md5: " + strings.ToLower(abcMD5) + "======\n"},
	{"white space before the colon", "MESSAGE-ID : <abc@example.org>\nMessage-ID-MD5 : " + abcMD5 + "\n"},
	{"every name", abcHeader + "Message-ID-MD5: " + abcMD5 + "\nList-Message-ID-MD5: " + abcMD5 +
		"\nMessage-ID-SHA1: " + abcSHA1 + "\nMessage-ID-Hash: " + abcSHA1 + "\nX-Message-ID-Hash: " + abcSHA1 + "\n"},
	{"another message's hash", abcHeader + "Message-ID-MD5: " + otherMD5 + "\n"},
	{"Mailman's hash of a folded id", "Message-ID:\n <abc@example.org>\nMessage-ID-Hash: JMSON57DC67YCKGX7J4GMIDXLXGOYLNJ\n"},
	{"a hash of the wrong length", abcHeader + "Message-ID-SHA1: " + abcMD5 + "\n"},
	{"a hash that is not base32", abcHeader + "Message-ID-MD5: 11111111111111111111111111\n"},
	{"two fields of one name", abcHeader + "Message-ID-MD5: " + abcMD5 + "\nMessage-ID-MD5: " + abcMD5 + "\n"},
	{"the first of two Message-IDs counts", abcHeader + "Message-Id: <other@example.org>\nMessage-ID-MD5: " + abcMD5 + "\n"},
	{"a hash without Message-ID", "Message-ID-MD5: " + abcMD5 + "\n"},
	{"an empty Message-ID", "Message-ID: <>\nMessage-ID-MD5: " + abcMD5 + "\n"},
	{"an odd Message-ID", "Message-ID: =?utf-8?q?abc?= (comment)\n"},
	{"a permalink", abcHeader + "Archived-At: <" + underURL + abcMD5 + ">\n"},
	{"a permalink after a collision", abcHeader + "Archived-At: <" + underURL + abcMD5 + "-2>\n"},
	{"a folded permalink", abcHeader + "Archived-At:\n <" + underURL + "\n " + abcMD5 + ">\n"},
	{"a token that is none", abcHeader + "Archived-At: <" + underURL + abcMD5 + "-1>\n"},
	{"a token past the last ordinal", abcHeader + "Archived-At: <" + underURL + abcMD5 + "-1000>\n"},
	{"another message's permalink", abcHeader + "Archived-At: <" + underURL + otherMD5 + ">\n"},
	{"a permalink of another form", abcHeader + "Archived-At: <" + underURL + abcMD5 + "/attachment/1>\n"},
	{"the second template of one prefix", abcHeader + "Archived-At: <https://lists.example.org/sha1/" + abcSHA1 + "/>\n"},
	{"a permalink of the Message-ID", abcHeader + "Archived-At: <https://inbox.example.org/abc@example.org/>\n"},
	{"another archive's permalink", abcHeader + "Archived-At: <https://other.example/1>\n"},
	{"Mailman without its archiver", abcHeader + "Archived-At: <>\n"},
	{"a permalink without brackets", abcHeader + "Archived-At: " + underURL + abcMD5 + "\n"},
	{"a permalink without Message-ID", "Archived-At: <" + underURL + abcMD5 + ">\n"},
}

func site(t *testing.T) (out hashheader.Site) {
	t.Helper()
	for _, text := range []string{underURL[:26] + "{list}/{token}", "https://lists.example.org/sha1/{sha1}/", "https://inbox.example.org/{message_id}/"} {
		tmpl, err := hashheader.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		out.Templates = append(out.Templates, tmpl)
	}
	return out
}

func TestExamineGolden(t *testing.T) {
	var b strings.Builder
	for _, h := range headers {
		fmt.Fprintf(&b, "== %s\n%s", h.name, h.text)
		for _, c := range hashheader.Examine(readHeader(t, []byte(h.text)), site(t)) {
			fmt.Fprintf(&b, "-> %s=%s %s (%s)\n", c.Method, c.Result, c.Field, c.Reason)
		}
	}
	golden.Equal(t, "testdata/examine.golden", b.String())
}

func TestAuthenticationResultsGolden(t *testing.T) {
	var b strings.Builder
	for _, h := range headers {
		checks := hashheader.Examine(readHeader(t, []byte(h.text)), site(t))
		fmt.Fprintf(&b, "== %s\nAuthentication-Results: %s\n", h.name, hashheader.AuthenticationResults("mx1.example.org", checks))
	}
	odd := []hashheader.Check{{Method: "message-id-hash", Result: hashheader.Fail, Field: "Message-ID-MD5", Value: `a"\` + "\x00ü", Reason: `say "no"`}}
	fmt.Fprintf(&b, "== what needs quoting\nAuthentication-Results: %s\n", hashheader.AuthenticationResults("a host", odd))
	golden.Equal(t, "testdata/authres.golden", b.String())
}

func TestWithoutTemplatesOnlyTheSyntaxOfArchivedAtIsChecked(t *testing.T) {
	h := readHeader(t, []byte(abcHeader+"Archived-At: <"+underURL+otherMD5+">\n"))
	c := hashheader.Examine(h, hashheader.Site{})
	if last := c[len(c)-1]; last.Result != hashheader.Pass || !strings.Contains(last.Reason, "syntax alone") {
		t.Errorf("%+v", last)
	}
}

func TestAPermalinkOfAnyTemplatePasses(t *testing.T) {
	var both []hashheader.Template
	for _, text := range []string{"https://a.example/{md5}", "https://a.example/{sha1}", "https://a.example/{sha256}"} {
		tmpl, err := hashheader.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, tmpl)
	}
	h := readHeader(t, []byte(abcHeader+"Archived-At: <https://a.example/"+abcSHA1+">\n"))
	if c := hashheader.Examine(h, hashheader.Site{Templates: both})[2]; c.Result != hashheader.Pass {
		t.Errorf("%+v", c)
	}
}

func TestWhatExamineLooksAt(t *testing.T) {
	for name, want := range map[string]bool{
		"message-id": true, "MESSAGE-ID ": true, "Archived-At": true, "Message-ID-SHA256": true, "List-Message-ID-MD5": true,
		"X-Message-ID-Hash": true, "Message-ID-Hash": true, "To": false, "Resent-Message-ID": false, "X-Message-ID": false, "Message-ID-MD4": false, "": false,
	} {
		if hashheader.Examined(name) != want || hashheader.Examined([]byte(name)) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestOddID(t *testing.T) {
	for value, want := range map[string]string{
		" <abc@example.org>":              "",
		"\r\n <abc@example.org>\r\n":      "",
		"abc@example.org":                 "no angle brackets around it",
		"<a b@example.org>":               "white space inside",
		"<abc@example.org> (from a list)": "no angle brackets around it, white space inside, more than one id in the field, a comment",
		"<a@example.org> <b@example.org>": "white space inside, more than one id in the field, not one @",
		"<=?utf-8?q?a?=@example.org>":     "an encoded word (RFC 2047)",
		"<abc>":                           "not one @",
		"<gr\xfc@example.org>":            "not ASCII",
		"<a\x00b@example.org>":            "a control character",
	} {
		if got := hashheader.OddID(value); got != want {
			t.Errorf("%q: %q, want %q", value, got, want)
		}
	}
}

func TestEveryVectorStampedPasses(t *testing.T) {
	for _, v := range vectors.Read(t, "../testdata") {
		h := readHeader(t, v.Header)
		if v.MD5 == nil || h.Count(hashheader.MessageIDField) != 1 {
			continue
		}
		h = append(h, hashheader.Field{Name: "Message-ID-MD5", Value: *v.MD5}, hashheader.Field{Name: "Message-ID-SHA256", Value: *v.SHA256})
		for _, c := range hashheader.Examine(h, hashheader.Site{}) {
			forged := c.Value == "AAAA" || c.Value == "BBBB"
			if c.Result.Fine() == forged {
				t.Errorf("%s: %+v", v.Name, c)
			}
		}
	}
}

// A changed bit that leaves the canonical id alone (white space for white
// space) is no change of the message's name.
func TestAnyChangedBitOfTheIDFails(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[!-~]{1,80}@[a-z.]{1,40}`).Draw(t, "id")
		canonical := hashheader.Canonical(nil, "<"+id+">")
		a := rapid.SampledFrom(hashheader.Algorithms[:]).Draw(t, "algorithm")
		hash, _ := a.Hash(canonical)
		changed := []byte(id)
		bit := rapid.IntRange(0, len(changed)*8-1).Draw(t, "bit")
		changed[bit/8] ^= 1 << (bit % 8)
		h := hashheader.Header{{Name: "Message-ID", Value: "<" + string(changed) + ">"}, {Name: a.FieldName(), Value: hash}}
		if got := hashheader.Examine(h, hashheader.Site{})[1]; got.Result != hashheader.Fail {
			t.Fatalf("%q for %q: %+v", changed, id, got)
		}
	})
}

func FuzzExamine(f *testing.F) {
	for _, h := range headers {
		f.Add(base64.StdEncoding.EncodeToString([]byte(h.text)))
	}
	tmpl, _ := hashheader.ParseTemplate("https://lists.example.org/{list}/{token}")
	f.Fuzz(func(t *testing.T, text string) {
		var h hashheader.Header
		for line := range strings.Lines(text) {
			name, value, _ := strings.Cut(line, ":")
			h = append(h, hashheader.Field{Name: name, Value: value})
		}
		checks := hashheader.Examine(h, hashheader.Site{Templates: []hashheader.Template{tmpl}})
		for line := range strings.Lines(hashheader.AuthenticationResults("host", checks)) {
			line = strings.TrimSuffix(line, "\n")
			if len(line) > 998 || strings.ContainsFunc(line[1:], func(r rune) bool { return r < ' ' || r >= 0x7f }) {
				t.Errorf("a line of %d bytes: %.200q", len(line), line)
			}
		}
	})
}

// A header of 8 MiB may hold 200,000 of them.
func TestManyFieldsOfOneNameAreExaminedInOnePass(t *testing.T) {
	examine := func(fields int) time.Duration {
		h := hashheader.Header{{Name: hashheader.MessageIDField, Value: " <abc@example.org>"}}
		for range fields {
			h = append(h, hashheader.Field{Name: "Message-ID-MD5", Value: " VP3JZR3MSKY5TQSMS5FHURHQXI"})
		}
		began := time.Now()
		checks := hashheader.Examine(h, hashheader.Site{})
		if c := checks[fields]; len(checks) != fields+2 || c.Result != hashheader.PermError {
			t.Errorf("%d checks, the last field's %+v", len(checks), c)
		}
		return time.Since(began)
	}
	if few, many := examine(2_000), examine(40_000); many > 100*few+time.Second {
		t.Errorf("%v for 2,000 fields, %v for 40,000", few, many)
	}
}
