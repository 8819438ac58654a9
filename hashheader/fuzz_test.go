package hashheader_test

import (
	"net/url"
	"strings"
	"testing"

	"permalink-milter/hashheader"
)

// What a template makes of any message is a URL that an Archived-At field
// carries unharmed, and that lies under the template's prefix.
func FuzzTemplate(f *testing.F) {
	for _, template := range []string{
		"https://lists.example.org/archives/list/{list}/message/{sha1}/", "http://a.example/{token}?l={listname}&h={host}#{list_id}",
		"https://a.example/{year}-{month}/{md5:base64url}", "https://a.example/{sha1(message_id,listname):hex}?id={message_id:query}", "https://a.example/{hash(list,message_id)}", "https://a.example/{md5:path}", "https://a.example/{sha1(}",
		"https://a.example/{message_id}{md5}", "https://a.example/%7B{sha256}", "https://{host}/{token}", "https://a.example/{token}%zz", "https://a.example/%4{token}", "https://a.example/{", "}",
	} {
		f.Add(template, "devel@lists.example.org", "abc@example.org", "https://a.example/x/HASH-2")
	}
	f.Fuzz(func(t *testing.T, text, list, id, other string) {
		template, err := hashheader.ParseTemplate(text)
		if err != nil {
			return
		}
		if template.String() != text {
			t.Errorf("%q was read as %q", text, template)
		}
		link, err := template.Expand(hashheader.Permalink{List: list, ListID: list, Token: abcMD5 + "-2", MessageID: []byte(id), Date: "24 Nov 2026 11:00 +0000"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := url.Parse(link); err != nil || !strings.HasPrefix(link, template.Prefix()) {
			t.Errorf("%q makes %q: %v", text, link, err)
		}
		if !template.Covers(hashheader.ArchivedAt(link)) {
			t.Errorf("%q makes %q and does not cover it", text, link)
		}
		// Texts side by side cannot be told apart.
		if _, err := template.Match(link); err != nil && strings.Count(text, "{") < 2 {
			t.Errorf("%q makes %q: %v", text, link, err)
		}
		checkArchivedAt(t, link)
		template.Match(other) // must not panic
	})
}

// checkArchivedAt composes a field of a URL and reads it again.
func checkArchivedAt(t *testing.T, link string) {
	t.Helper()
	value := hashheader.ArchivedAt(link)
	if got, err := hashheader.ParseArchivedAt(value); err != nil || got != link {
		t.Errorf("%q was written as %q and read as %q: %v", link, value, got, err)
	}
	for line := range strings.SplitSeq(hashheader.ArchivedAtField+": "+value, "\n") {
		if len(line) > 998 {
			t.Errorf("a line of %d bytes (RFC 5322, section 2.1.1)", len(line))
		}
	}
}

func FuzzArchivedAt(f *testing.F) {
	for _, value := range []string{
		"<https://a.example/x>", " <https://a.example/\r\n\tx>", "<>", "<a>", "https://a.example/x", "<https://a.example/<x>>",
		"<https://a.example/" + strings.Repeat("x", 2000) + ">",
	} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if link, err := hashheader.ParseArchivedAt(value); err == nil {
			checkArchivedAt(t, link)
		}
	})
}
