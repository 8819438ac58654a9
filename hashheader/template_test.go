package hashheader_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/vectors"
)

func parseTemplate(t testing.TB, text string) hashheader.Template {
	t.Helper()
	parsed, err := hashheader.ParseTemplate(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// post is a message with characters that have a meaning in URLs.
var post = hashheader.Permalink{List: "c+dev@lists.example.org", ListID: "c+dev.lists.example.org", Token: abcMD5 + "-2", MessageID: []byte("a/b?c#d&e+f=g%h\xfc~@x"),
	Date: "Thu, 31 Dec 2026 23:30:00 -0100", Algorithm: hashheader.SHA1, Identity: hashheader.Identity{0x41, 0xb4, 0x51, 0xb7, 0xff}}

// The digests are those of Python's hashlib, in the forms of its base64.
func TestEveryForm(t *testing.T) {
	for placeholder, want := range map[string]string{
		"{md5}":                                 "MU3MZUUKVTFKFRICYGMDKI47FA",
		"{hash}":                                "I2WBZ7E53627BVHMW4O3DS3Q2FDKZ5NC",
		"{sha1:base32}":                         "I2WBZ7E53627BVHMW4O3DS3Q2FDKZ5NC",
		"{sha1(message_id)}":                    "I2WBZ7E53627BVHMW4O3DS3Q2FDKZ5NC",
		"{md5:base64url}":                       "ZTbM0oqsyqLFAsGYNSOfKA",
		"{md5:hex}":                             "6536ccd28aaccaa2c502c19835239f28",
		"{sha256:hex}":                          "e0dee3082c90436ca372f85d3224ae3538cac37d55cf82537aa03198facb24be",
		"{sha1(message_id,listname):base64url}": "MiO3tYLHNywKoJygNyixC_12aJs",
		"{hash(list,host,list_id,message_id):hex}": "b6c8fd940512fc6a9f3c5b4dfb013b53324044fa",
		"{token}/{token:query}":                    abcMD5 + "-2/" + abcMD5 + "-2",
		"{message_id}":                             "a%2Fb%3Fc%23d&e+f=g%25h%FC~@x",
		"{message_id:path}":                        "a%2Fb%3Fc%23d&e+f=g%25h%FC~@x",
		"{message_id:query}":                       "a%2Fb%3Fc%23d%26e%2Bf%3Dg%25h%FC~%40x",
		"{md5:hex}?{list:query}&{listname}":        "6536ccd28aaccaa2c502c19835239f28?c%2Bdev%40lists.example.org&c+dev",
		"{md5}/{year}-{month}/{claim}":             "MU3MZUUKVTFKFRICYGMDKI47FA/2027-01/41b451b7",
	} {
		got, err := parseTemplate(t, "https://a.example/"+placeholder).Expand(post)
		if err != nil || got != "https://a.example/"+want {
			t.Errorf("%s: %q, %v; want %q", placeholder, got, err, want)
		}
	}
}

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

func TestWrongTemplatesSayWhatToWrite(t *testing.T) {
	for text, hint := range map[string]string{
		"https://a.example/{sha512}":                 "there are {md5}",
		"https://a.example/{MD5}":                    "there are {md5}",
		"https://a.example/{}":                       "there are {md5}",
		"https://a.example/{md5:path}":               "the forms of {md5} are base32, base64url, hex",
		"https://a.example/{md5:base64}":             "the forms of {md5} are base32, base64url, hex",
		"https://a.example/{md5:}":                   "the forms of {md5} are",
		"https://a.example/{md5:hex:hex}":            "the forms of {md5} are",
		"https://a.example/{token:base64url}":        "the forms of {token} are path, query",
		"https://a.example/{message_id:hex}":         "the forms of {message_id} are path, query",
		"https://a.example/{token}/{year:base32}":    "the forms of {year} are path, query",
		"https://a.example/{message_id(list)}":       "{message_id} is no digest",
		"https://a.example/{token}{list()}":          "{list} is no digest",
		"https://a.example/{sha1()}":                 "write in parentheses what is digested",
		"https://a.example/{sha1(message_id,)}":      "write in parentheses what is digested",
		"https://a.example/{sha1(message_id, list)}": "without spaces",
		"https://a.example/{sha1(message_id,year)}":  "of message_id, list, listname, host, list_id",
		"https://a.example/{sha1(message_id}":        "write in parentheses",
		"https://a.example/{sha1(message_id)x}":      "write in parentheses",
		"https://a.example/{sha1(listname)}":         "gives every message the same URL",
		"https://a.example/{year}-{month}/{claim}":   "gives every message the same URL",
		"https://a.example/{year}/{list:query}":      "gives every message the same URL",
		"https://a.example/{md5":                     "a { without its }",
		"https://a.example/md5}":                     "a } without its {",
		"https://{host}/{md5}":                       "whose scheme and host have no placeholder",
	} {
		if _, err := hashheader.ParseTemplate(text); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%s: %v; want %q", text, err, hint)
		}
	}
}

func TestWhatATemplateNeedsAndShows(t *testing.T) {
	for placeholder, want := range map[string]struct {
		algorithm    hashheader.Algorithm
		date, header bool
	}{
		"{token}":                           {hashheader.SHA256, false, false},
		"{hash:hex}":                        {hashheader.SHA256, false, false},
		"{message_id:query}":                {hashheader.SHA256, false, false},
		"{md5:base64url}":                   {hashheader.MD5, false, false},
		"{sha1(message_id)}":                {hashheader.SHA1, false, false},
		"{sha1(message_id,listname)}":       {hashheader.SHA256, false, true},
		"{sha1(message_id,list)}/{md5:hex}": {hashheader.MD5, false, true},
		"{year}/{sha1:base64url}":           {hashheader.SHA1, true, true},
		"{month}/{token}":                   {hashheader.SHA256, true, true},
		"{hash}={claim}":                    {hashheader.SHA256, false, true},
	} {
		parsed := parseTemplate(t, "https://a.example/"+placeholder)
		if got := parsed.Algorithm(hashheader.SHA256); got != want.algorithm || parsed.NeedsDate() != want.date || parsed.NeedsHeader() != want.header {
			t.Errorf("%s: %v, %v, %v", placeholder, got, parsed.NeedsDate(), parsed.NeedsHeader())
		}
	}
}

func TestWithoutADateThereIsNoURL(t *testing.T) {
	for _, date := range []string{"", "today", "31 Nov 2026 11:00 +0000"} {
		p := post
		p.Date = date
		if got, err := parseTemplate(t, "https://a.example/{year}/{md5}").Expand(p); !errors.Is(err, hashheader.ErrNoDate) {
			t.Errorf("Date %q: %q, %v", date, got, err)
		}
	}
}

func TestParseDate(t *testing.T) {
	for _, d := range vectors.Dates(t, "../testdata") {
		at, ok := hashheader.ParseDate(d.Date)
		if ok != (d.Month != nil) || ok && at.Format("2006-01") != *d.Month {
			t.Errorf("%q: %v, %v", d.Date, at, ok)
		}
	}
}

// pathParts and queryParts are placeholders that can be read back where they
// stand between slashes or ampersands.
var (
	pathParts = append([]string{"{message_id}", "{list}", "{listname}", "{list_id}", "{year}{month}", "{token}-{month}", "{hash}={claim}", "{claim}{md5}", "x"}, queryParts...)

	queryParts = []string{"{md5}", "{sha1:base64url}", "{sha256:hex}", "{hash}", "{hash:base64url}", "{hash:hex}", "{token}", "{message_id:query}", "{list:query}",
		"{listname:query}", "{host:query}", "{list_id:query}", "{claim}", "{year}", "{month:query}", "{sha1(message_id,listname):base64url}", "{md5(list_id,host,list):hex}"}
)

func drawTemplate(t *rapid.T) string {
	path := rapid.SliceOfN(rapid.SampledFrom(pathParts), 0, 4).Draw(t, "path")
	path = append(path, rapid.SampledFrom([]string{"{md5}", "{token}", "{message_id}", "{sha1(list,message_id):hex}"}).Draw(t, "name"))
	query := rapid.SliceOfN(rapid.SampledFrom(queryParts), 0, 3).Draw(t, "query")
	return strings.TrimSuffix("https://a.example/"+strings.Join(path, "/")+"?q="+strings.Join(query, "&q="), "?q=")
}

// drawMessage returns a message's header, and the values of its permalinks.
func drawMessage(t *rapid.T) (hashheader.Header, hashheader.Permalink) {
	id := rapid.StringMatching(`[!-~]{1,40}@[a-z.<>/?#&+%]{1,20}`).Draw(t, "id")
	list := rapid.StringMatching(`[a-z0-9+&#%?/!=._-]{1,20}@[a-z.]{1,20}`).Draw(t, "list")
	date := time.Unix(rapid.Int64Range(0, 4e9).Draw(t, "date"), 0).In(time.FixedZone("", 3600*rapid.IntRange(-12, 14).Draw(t, "zone"))).Format(time.RFC1123Z)
	h := hashheader.Header{{Name: "Message-ID", Value: " <" + id + ">"}, {Name: "Date", Value: " " + date}}
	canonical, _ := h.MessageID()
	a := rapid.SampledFrom(hashheader.Algorithms[:]).Draw(t, "algorithm")
	hash, _ := a.Hash(canonical)
	return h, hashheader.Permalink{List: list, ListID: rapid.StringMatching(`[a-z.&/+]{1,20}`).Draw(t, "list-id"),
		Token: hashheader.Token(hash, rapid.IntRange(1, 999).Draw(t, "ordinal")), MessageID: canonical, Date: date, Algorithm: a,
		Identity: hashheader.Identify(h, canonical, []string{"message-id", "date"})}
}

// shown returns what Match reads of a permalink.
func shown(t *rapid.T, p hashheader.Permalink) map[string]string {
	listname, host, _ := strings.Cut(p.List, "@")
	at, ok := hashheader.ParseDate(p.Date)
	if !ok {
		t.Fatalf("%q cannot be read", p.Date)
	}
	values := map[string]string{"token": p.Token, "message_id": string(p.MessageID), "list": p.List, "listname": listname, "host": host, "list_id": p.ListID,
		"claim": p.Identity.Claim(), "year": at.Format("2006"), "month": at.Format("01")}
	for _, a := range hashheader.Algorithms {
		values[a.String()], _ = a.Hash(p.MessageID)
	}
	values["hash"] = values[p.Algorithm.String()]
	values["sha1(message_id,listname)"], _ = hashheader.SHA1.Hash([]byte(string(p.MessageID) + listname))
	values["md5(list_id,host,list)"], _ = hashheader.MD5.Hash([]byte(p.ListID + host + p.List))
	values["sha1(list,message_id)"], _ = hashheader.SHA1.Hash([]byte(p.List + string(p.MessageID)))
	return values
}

// What a template makes of a message lies under the template, is read back as
// the same values, and is right for this message and for no other.
func TestAPermalinkIsReadBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := drawTemplate(t)
		template, err := hashheader.ParseTemplate(text)
		if err != nil {
			t.Fatal(err)
		}
		h, p := drawMessage(t)
		link, err := template.Expand(p)
		if err != nil || !template.Covers("<"+link+">") {
			t.Fatalf("%s makes %s: %v", text, link, err)
		}
		values, err := template.Match(link)
		if err != nil {
			t.Fatalf("%s makes %s: %v", text, link, err)
		}
		all := shown(t, p)
		for name, got := range values {
			if want, ok := all[name]; !ok || got != want {
				t.Fatalf("%s makes %s: %s is read as %q, want %q", text, link, name, got, want)
			}
		}
		site := hashheader.Site{Templates: []hashheader.Template{template}, Identity: []string{"message-id", "date"},
			Lists: func(hashheader.Header) []hashheader.Permalink {
				return []hashheader.Permalink{{List: "other@a.example"}, p}
			}}
		h = append(h, hashheader.Field{Name: "Archived-At", Value: hashheader.ArchivedAt(link)})
		if c := hashheader.Examine(h, site)[2]; c.Result != hashheader.Pass {
			t.Fatalf("%s makes %s: %+v", text, link, c)
		}
		h[0].Value = " <other." + string(p.MessageID) + ">"
		if c := hashheader.Examine(h, site)[2]; c.Result != hashheader.Fail {
			t.Fatalf("%s makes %s, which is another message's: %+v", text, link, c)
		}
	})
}

func TestOneNameHasOneValue(t *testing.T) {
	template := parseTemplate(t, "https://a.example/{list}/{token}?list={list:query}")
	if _, err := template.Match("https://a.example/a@b/" + abcMD5 + "?list=c%40d"); !errors.Is(err, hashheader.ErrNoMatch) {
		t.Errorf("two lists: %v", err)
	}
}
