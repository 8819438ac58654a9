package draft

import (
	"fmt"
	"net/mail"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"permalink-milter/hashheader"
)

// permalink runs the command-line tool and returns what it prints.
func permalink(t *testing.T, args ...string) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "permalink")
	if out, err := exec.Command("go", "build", "-o", bin, "permalink-milter/cmd/permalink").CombinedOutput(); err != nil {
		t.Fatalf("build the tool: %v\n%s", err, out)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = filepath.Join(dir, "examples")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("permalink %q: %v", args, err)
	}
	return string(out)
}

func TestStampedExamples(t *testing.T) {
	const template = "https://lists.example.org/{token}"
	generated(t, "examples/after.eml", permalink(t, "stamp", "--archive", template, "before.eml"))
	generated(t, "examples/derive-after.eml", permalink(t, "stamp", "derive-before.eml"))
}

// TestTranscript compares the draft's negotiation with the transcript that the
// LMTP server's tests hold, byte for byte.
func TestTranscript(t *testing.T) {
	data, err := os.ReadFile("../../registry/lmtp/testdata/seed.txt")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for line := range strings.Lines(string(data)) {
		b.WriteString(wrap("", strings.TrimSuffix(line, "\n"), "   "))
	}
	generated(t, "examples/lmtp.txt", b.String())
}

// TestReplyCodesAreTheServers checks that the LMTP server sends each code of
// the tables: its tests' transcripts contain it.
func TestReplyCodesAreTheServers(t *testing.T) {
	files, err := filepath.Glob("../../registry/lmtp/testdata/*.txt")
	if err != nil || len(files) < 4 {
		t.Fatalf("%q, %v", files, err)
	}
	var transcripts strings.Builder
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		transcripts.Write(data)
	}
	for _, row := range table(t, "# Negotiation over LMTP") {
		if code := row[0]; code[0] != '4' && code[0] <= '9' && !strings.Contains(transcripts.String(), "\nS: "+code+" ") {
			t.Errorf("no transcript of the server has the reply %s", code)
		}
	}
	if strings.Contains(transcripts.String(), "\nS: 551") {
		t.Error("the server answers 551")
	}
}

// TestIdentityExample computes the identity of the example message and the
// text that is digested for it.
func TestIdentityExample(t *testing.T) {
	data, err := os.Open(filepath.Join(dir, "examples", "before.eml"))
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	m, err := mail.ReadMessage(data)
	if err != nil {
		t.Fatal(err)
	}
	h := hashheader.Header{{Name: "Date", Value: m.Header.Get("Date")}}
	id := hashheader.Canonical(nil, m.Header.Get("Message-ID"))
	identity := hashheader.Identify(h, id, []string{"message-id", "date"})
	text := fmt.Sprintf("date:%s\nmessage-id:%s\n", strings.ReplaceAll(m.Header.Get("Date"), " ", ""), id)
	generated(t, "examples/identity.txt", fmt.Sprintf("%s\nSHA-256, first 128 bits: %s\n", strings.TrimSuffix(text, "\n"), identity))
}

// TestFieldsOfTheIdentityAreTheCodes compares the order of the fields.
func TestFieldsOfTheIdentityAreTheCodes(t *testing.T) {
	_, rest, _ := strings.Cut(section(t, "## Identity"), "did not choose: ")
	list, _, ok := strings.Cut(rest, ".")
	if got := strings.Split(strings.ToLower(list), ", "); !ok || !slices.Equal(got, hashheader.IdentityFields) {
		t.Errorf("the draft says %q, the code has %q", got, hashheader.IdentityFields)
	}
}
