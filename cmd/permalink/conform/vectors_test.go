package conform

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/golden"
	shared "permalink-milter/hashheader/vectors"
	"permalink-milter/registry/stamp"
)

const testdata = "../../../testdata"

// TestVectorsAreThoseOfTestdata makes vectors.json.
func TestVectorsAreThoseOfTestdata(t *testing.T) {
	made := vectors
	made.MessageIDs, made.Sections, made.Identities, made.Links, made.Forged = messageIDs(t), sections(t), identities(t), links(t), forged(t)
	data, err := json.MarshalIndent(made, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "vectors.json", string(data)+"\n")
	if len(made.MessageIDs) < 200 || len(made.Sections) < 30 || len(made.Identities) < 13 || len(made.Links) < 40 || len(made.Forged) < 18 {
		t.Errorf("too few: %d %d %d %d %d", len(made.MessageIDs), len(made.Sections), len(made.Identities), len(made.Links), len(made.Forged))
	}
}

func messageIDs(t *testing.T) (out []message) {
	for _, v := range shared.Read(t, testdata) {
		m := message{Name: v.Name, Message: v.Header, Hashes: map[string]string{}}
		for name, hash := range map[string]*string{nameMD5: v.MD5, nameSHA1: v.SHA1, nameSHA256: v.SHA256} {
			if hash != nil {
				m.Hashes[name] = *hash
			}
		}
		out = append(out, m)
	}
	return out
}

func sections(t *testing.T) (out []message) {
	rows := strings.Split(strings.TrimSpace(read(t, testdata+"/header/want.tsv")), "\n")
	for _, row := range rows[1:] {
		name, id, _ := strings.Cut(row, "\t")
		if strings.HasPrefix(id, "(over") {
			id = ""
		}
		out = append(out, named(name, read(t, filepath.Join(testdata, "header", name)), strings.ReplaceAll(id, `\0`, "\x00")))
	}
	return out
}

// identities reads the draft's appendix, whose text its own test checks.
func identities(t *testing.T) (out []identified) {
	text := strings.ReplaceAll(read(t, "../../../hashheader/draft/identities.txt"), "\\\n          ", "")
	for block := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		lines := strings.Split(block, "\n")
		entries := make(map[string]string)
		for _, line := range lines[1:] {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			entries[name] = strings.TrimLeft(value, " ")
		}
		var header string
		if err := json.Unmarshal([]byte(`"`+strings.NewReplacer(`\x`, `\u00`, `"`, `\"`).Replace(entries["header"])+`"`), &header); err != nil {
			t.Fatalf("%s: %v", lines[0], err)
		}
		out = append(out, identified{lines[0], latin1(header), entries["identity"], entries["claim"]})
	}
	return out
}

// latin1 returns the bytes that \xHH stands for.
func latin1(s string) (out []byte) {
	for _, r := range s {
		out = append(out, byte(r))
	}
	return out
}

// templates are one of each form, and those of other archives.
var templates = []string{
	"https://a.example/{md5}", "https://a.example/{sha1}", "https://a.example/{list}/{sha256}", "https://a.example/{md5:hex}={claim}",
	"https://a.example/{listname}/{host}/{list_id}/{sha1:hex}", "https://a.example/{year}-{month}/{md5:base64url}",
	"https://a.example/{sha1(message_id,listname):base64url}", "https://a.example/{sha256(list,message_id,host,list_id)}",
	"https://a.example/{message_id}", "https://a.example/?id={message_id:query}&list={list:query}",
}

// links takes a message of each kind, and dates of each kind.
func links(t *testing.T) (out []link) {
	const list = "devel@lists.example.org"
	const date = "Date: Tue, 24 Nov 2026 11:00:00 +0000\n"
	messages := []message{
		{Name: "plain", Message: []byte(date + "Message-ID: <abc@example.org>\n\n")},
		{Name: "characters with a meaning in URLs", Message: []byte(date + "Message-ID: <a/b?c#d%e&f+g=h;i$\"j\\k|~@x.example>\n\n")},
		{Name: "8 bits", Message: []byte(date + "Message-ID: <gr\xfc\xc3\xbc@x.example>\n\n")},
		{Name: "List-Id", Message: []byte(date + "List-Id: Developers <devel.lists.example.org>\nMessage-ID:\n <abc@example.org>\n\n")},
	}
	for _, template := range templates {
		for _, m := range messages {
			out = append(out, linkOf(t, template, list, m))
		}
	}
	const named = "List-Post: <mailto:" + list + ">\n"
	for _, m := range []struct{ name, fields string }{
		{"List-Post names the list, and List-Id has another name", "List-Id: Developers <Developers.lists.example.org>\n" + named},
		{"List-Id names another list", "List-Id: <users.lists.example.org>\n"},
		{"a folded List-Id", "List-Id: <all> Developers <developers.\n lists.\r\n\texample.org>\n" + named},
		{"a List-Id without an identifier", "List-Id: < \n >\n" + named},
		{"an identifier of 254 bytes", "List-Id: <" + strings.Repeat("a", 249) + ".test>\n" + named},
		{"an identifier of 255 bytes", "List-Id: <" + strings.Repeat("a", 250) + ".test>\n" + named},
		{"a folded, percent-encoded List-Post", "List-Id: <developers.example>\nList-Post: <https://a.example/?mailto:x@y.example>,\n <MAILTO:de%76el@lists.\n example.org?subject=x>\n"},
	} {
		out = append(out, linkOf(t, "https://a.example/{list_id}/{md5}", list, message{Name: m.name, Message: []byte(m.fields + "Message-ID: <abc@example.org>\n\n")}))
	}
	out = append(out, linkOf(t, "https://a.example/{list}/{sha256(list,message_id)}", "Devel@Lists.Example.ORG", message{Name: "a list in mixed case", Message: messages[0].Message}))
	for _, d := range shared.Dates(t, testdata) {
		m := message{Name: "Date: " + d.Date, Message: []byte("Message-ID: <abc@example.org>\nDate: " + strings.TrimRight(d.Date, "\r\n") + "\n\n")}
		l := linkOf(t, "https://a.example/{year}-{month}/{sha256}", list, m)
		if (d.Month == nil) != (l.URL == "") || d.Month != nil && !strings.Contains(l.URL, *d.Month) {
			t.Errorf("%q: %q", d.Date, l.URL)
		}
		out = append(out, l)
	}
	return out
}

func linkOf(t *testing.T, template, list string, m message) link {
	l := link{Template: template, List: list, Name: m.Name, Message: m.Message}
	parsed, err := hashheader.ParseTemplate(template)
	if err != nil {
		t.Fatal(err)
	}
	h, err := hashheader.ReadHeader(bytes.NewReader(m.Message))
	if err != nil {
		t.Fatal(err)
	}
	id, err := h.MessageID()
	if err != nil {
		t.Fatal(err)
	}
	address, err := hashheader.CheckList(list)
	if err != nil {
		t.Fatal(err)
	}
	p := hashheader.Permalink{List: address, ListID: stamp.ListID(h, address), MessageID: id, Algorithm: hashheader.MD5, Identity: hashheader.Identify(h, id, []string{"message-id", "date"})}
	p.Date, _ = h.First("Date")
	if l.URL, err = parsed.Expand(p); err != nil {
		l.URL = ""
	}
	return l
}

func forged(t *testing.T) (out [][]byte) {
	for line := range strings.Lines(read(t, testdata+"/forged-archived-at.txt")) {
		value := strings.NewReplacer(`\r`, "\r", `\n`, "\n", `\t`, "\t").Replace(strings.TrimSuffix(line, "\n"))
		out = append(out, []byte(value))
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
