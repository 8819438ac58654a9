package draft

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/vectors"
	"permalink-milter/milter/mtatest/need"
)

// python runs hashed_message_id.py, which implements the draft's text alone and
// shares nothing with the Go code.
func python(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(need.Program(t, "python3", "python3"), append([]string{"hashed_message_id.py"}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("python3: %v\n%s", err, out)
	}
	return string(out)
}

func TestPythonAgreesWithTheAppendix(t *testing.T) {
	if out := python(t, "", "vectors", dir+"/vectors.txt"); !strings.Contains(out, " vectors agree, 0 disagree") {
		t.Error(out)
	}
}

// computed is what both sides compute from a header section. The hashes stand
// for the canonical id of a message that has one, Derived for the others.
type computed struct {
	Canonical *[]byte
	Over      bool
	MD5       *string
	Identity  string
	Month     *string // of the Date field, as 2026-11
	Derived   *string
}

// describe runs the jsonl mode of hashed_message_id.py on header sections.
func describe(t *testing.T, headers [][]byte) (answers []computed) {
	t.Helper()
	var lines strings.Builder
	for _, h := range headers {
		json.NewEncoder(&lines).Encode(map[string][]byte{"header": h})
	}
	for line := range strings.Lines(python(t, lines.String(), "jsonl")) {
		var answer computed
		if err := json.Unmarshal([]byte(line), &answer); err != nil {
			t.Fatal(err)
		}
		answers = append(answers, answer)
	}
	if len(answers) != len(headers) {
		t.Fatalf("%d answers to %d headers", len(answers), len(headers))
	}
	return answers
}

// oddHeaders are messages whose id is derived, which the vectors lack.
var oddHeaders = []string{
	"From: a@example.org\n",
	"From: A <A@Example.ORG>\nDate: today\nSubject: s\n",
	"From:\r\n\tA\r\n <a@exam\r\n ple.org>\r\nTo: x@example.net\r\nCc: y@example.net\r\n",
	"From: a@example..org\nDate: today\n", "From: a@-.org\n", "From: a@[192.0.2.1]\n", "From: a@\n", "From: a\n", "From: a@b>>\n",
	"From: a@b, c@d.example (x@y)\nDate: today\n", "From: a@\u212aelvin.example\n", "From: gr\xfc@b\xfccher.example\n", "From:\nDate:\n", "From:\nDate: x\n", "Subject: s\n",
	"Message-ID: <>\nFrom: a@example.org\n", "From : a@example.org\nno colon\nDate: today\n", " fold first\nFrom: a@example.org\n",
	"Message-ID: <1@example.org>\nDate: Thu, 26 Nov 2026 07:17:17 +0000 (added in transit)\n", "From: a@example.org\nDate: x (added\n in transit) \n",
	"Date: x (added in transit)\n", "Date: (added in transit) x\n", "Date: x (Added in transit)\n", "Subject: (added in transit)\nFrom: x (added in transit)\n",
	"From: a@" + strings.Repeat("x", 253) + "\n", "From: a@" + strings.Repeat("x", 254) + "\n",
}

func TestPythonAgreesWithTheCode(t *testing.T) {
	var headers [][]byte
	for _, v := range vectors.Read(t, "../../testdata") {
		headers = append(headers, v.Header)
	}
	for _, h := range oddHeaders {
		headers = append(headers, []byte(h))
	}
	for _, d := range vectors.Dates(t, "../../testdata") {
		headers = append(headers, []byte("Date: "+d.Date+"\nMessage-ID: <abc@example.org>\n"))
	}
	for i, got := range describe(t, headers) {
		if diff := cmp.Diff(compute(parse(headers[i])), got); diff != "" {
			t.Errorf("%q:\n%s", headers[i], diff)
		}
	}
}

func compute(h hashheader.Header) (c computed) {
	id, _ := h.MessageID()
	c.Identity = hashheader.Identify(h, id, []string{"message-id", "date"}).String()
	date, _ := h.First("Date")
	if at, ok := hashheader.ParseDate(date); ok {
		month := at.Format("2006-01")
		c.Month = &month
	}
	if len(id) > 0 {
		hash, _ := hashheader.MD5.Hash(id)
		c.Canonical, c.MD5 = &id, &hash
		return c
	}
	if derived, ok := hashheader.DeriveID(h); ok {
		text := string(derived)
		c.Derived = &text
	}
	return c
}

// parse reads a header section by the draft's rule, without its bound.
func parse(raw []byte) (h hashheader.Header) {
	for line := range bytes.Lines(raw) {
		if fold := line[0] == ' ' || line[0] == '\t'; fold && len(h) > 0 {
			h[len(h)-1].Value += string(line)
			continue
		}
		name, value, ok := strings.Cut(string(line), ":")
		if !ok || strings.Trim(name, " \t") == "" {
			break
		}
		h = append(h, hashheader.Field{Name: name, Value: value})
	}
	return h
}

func TestPythonStampsAsTheToolDoes(t *testing.T) {
	for _, template := range []string{
		"https://lists.example.org/{list}/{token}/{message_id}", "https://lists.example.org/{hash:hex}={claim}",
		"https://lists.example.org/{year}-{month}/{md5:base64url}", "https://lists.example.org/{sha1(message_id,listname):base64url}",
		"https://lists.example.org/{md5(list,message_id,host,list_id)}?id={message_id:query}&list={list:query}",
	} {
		for _, file := range []string{"before.eml", "derive-before.eml"} {
			data, err := os.ReadFile(dir + "/examples/" + file)
			if err != nil {
				t.Fatal(err)
			}
			want := permalink(t, "stamp", "--archive", template, "--list", "devel@lists.example.org", file)
			if diff := cmp.Diff(want, python(t, string(data), "stamp", template, "devel@lists.example.org")); diff != "" {
				t.Errorf("%s, %s:\n%s", template, file, diff)
			}
		}
	}
}
