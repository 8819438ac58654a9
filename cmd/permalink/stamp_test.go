package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/cmd/permalink/mailbox"
	"permalink-milter/hashheader/vectors"
	"permalink-milter/registry/stamp"
)

const stampTemplate = "https://lists.example.org/{list}/{token}"

// Each vector, as it is in mail, verifies once it is stamped, and is not
// changed by a second stamp.
func TestVectorsStampedVerify(t *testing.T) {
	for _, v := range vectors.Read(t, "../../testdata") {
		stamp := func(message string) string {
			code, out, errs := permalink(t, strings.NewReader(message), "stamp", "--archive", stampTemplate, "--list", "devel@lists.example.org")
			if code != exitOK || errs != "" {
				t.Errorf("%s: exit %d: %s", v.Name, code, errs)
			}
			return out
		}
		once := stamp(string(v.Header))
		if again := stamp(once); again != once {
			t.Errorf("%s: the second stamp changes it:\n%s", v.Name, cmp.Diff(once, again))
		}
		_, out, _ := permalink(t, strings.NewReader(once), "verify", "--require", "hash,archived-at", "--archive", stampTemplate)
		if strings.Contains(out, "fail") || strings.Contains(out, "Message-ID-MD5") {
			t.Errorf("%s: %s", v.Name, out)
		}
	}
}

func TestStampKeepsLineEndsAndBodies(t *testing.T) {
	body := strings.Repeat("a line\r\n.\r\n\x00\xff\n", 20000)
	in := "From alice Tue Nov 24 11:00:00 2026\r\nMessage-ID:\r\n <abc@example.org>\r\n\r\n" + body
	want := "From alice Tue Nov 24 11:00:00 2026\r\nMessage-ID:\r\n <abc@example.org>\r\nMessage-ID-MD5: VP3JZR3MSKY5TQSMS5FHURHQXI\r\n\r\n" + body
	if _, out, errs := permalink(t, strings.NewReader(in), "stamp"); out != want || errs != "" {
		t.Errorf("%s%.300q", errs, out)
	}
}

func TestInPlaceKeepsModeAndTime(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1")
	then := time.Unix(1_000_000_000, 0)
	if err := os.WriteFile(file, []byte("Message-ID: <abc@example.org>\n\nbody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	os.Chmod(file, 0o640)
	os.Chtimes(file, then, then)
	if code, _, errs := permalink(t, nil, "stamp", "--in-place", file); code != exitOK {
		t.Fatal(errs)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode() != 0o640 || !info.ModTime().Equal(then) {
		t.Errorf("%v %v, %v", info.Mode(), info.ModTime(), err)
	}
	left, _ := os.ReadDir(filepath.Dir(file))
	if got, _ := os.ReadFile(file); !strings.Contains(string(got), "Message-ID-MD5") || len(left) != 1 {
		t.Errorf("%q, %v", got, left)
	}
}

func TestInPlaceStopsWhenItIsInterrupted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1")
	os.WriteFile(file, []byte("Message-ID: <abc@example.org>\n\n"), 0o600)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	code := run(ctx, []string{"stamp", "--in-place", file}, stdio{nil, &out, &errs})
	if data, _ := os.ReadFile(file); code != exitTemporary || strings.Contains(string(data), "MD5") || !strings.Contains(errs.String(), "run it again") {
		t.Errorf("exit %d: %s\n%s", code, &errs, data)
	}
}

// A file that a mail program renamed meanwhile is not brought back.
func TestInPlaceGivesWayToARename(t *testing.T) {
	file := filepath.Join(t.TempDir(), "1")
	os.WriteFile(file, []byte("Message-ID: <abc@example.org>\n\n"), 0o600)
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	os.Rename(file, file+"-seen")
	if err := rewrite(file, f, []byte("new")); err != errMoved {
		t.Error(err)
	}
	if left, _ := os.ReadDir(filepath.Dir(file)); len(left) != 1 {
		t.Error(left)
	}
	os.WriteFile(file, []byte("Message-ID: <xyz@example.org>\n\n"), 0o600) // another message of the same size
	if err := rewrite(file, f, []byte("new")); err != errMoved {
		t.Error(err)
	}
}

func TestEditsAreAppliedAsAnMTADoes(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"the second of a name":      {"A: 1\nX: 1\nx : 2\n\n", "A: 1\nX: 1\nB: new\n\n"},
		"not there":                 {"A: 1\nX: 1\n\nx: 2\n", "A: 1\nX: 1\nB: new\n\nx: 2\n"},
		"a message without end":     {"A: 1\nX: 1", "A: 1\nX: 1\nB: new\n"},
		"a body without empty line": {"X: 1\nno field\n", "X: 1\nB: new\nno field\n"},
		"folds go with their field": {"X: 1\nX:\n 2\n\t3\nA: 1\n\n", "X: 1\nA: 1\nB: new\n\n"},
	} {
		edits := []stamp.Edit{{Op: stamp.Delete, Name: "X", Index: 2}, {Op: stamp.Add, Name: "B", Value: "new"}}
		if got := string(edit(readRaw(t, c.in), edits)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	replace := []stamp.Edit{{Op: stamp.Replace, Name: "message-id", Index: 1, Value: "<a@b>"}}
	if got := string(edit(readRaw(t, "Message-ID:\r\n\r\n"), replace)); got != "message-id: <a@b>\r\n\r\n" {
		t.Errorf("%q", got)
	}
}

func readRaw(t *testing.T, text string) mailbox.Raw {
	t.Helper()
	raw, err := mailbox.ReadRaw(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func FuzzReadRaw(f *testing.F) {
	f.Add([]byte("From x\n>From y\nA: b\n c\nB :d\r\n\r\nbody"))
	f.Fuzz(func(t *testing.T, data []byte) {
		raw, err := mailbox.ReadRaw(bytes.NewReader(data))
		if err != nil {
			return
		}
		if got := edit(raw, nil); !bytes.HasPrefix(data, got) {
			t.Errorf("%q became %q", data, got)
		}
	})
}
