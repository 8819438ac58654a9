package mtatest

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const template = "https://a.example/{list}/{token}"

// tool runs permalink on a message and returns what it prints and its exit
// code.
func tool(t *testing.T, bin string, message []byte, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(limit(t), bin, args...)
	cmd.Stdin = bytes.NewReader(message)
	text, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// ours are the fields that the milter and permalink stamp write.
func ours(m Message) (fields []string) {
	for _, name := range []string{"Message-ID", "Message-ID-MD5", "Archived-At", "X-Message-ID-Hash"} {
		for _, value := range m.Raw(name) {
			fields = append(fields, name+":"+value)
		}
	}
	return fields
}

func TestTheToolAgreesWithTheMilter(t *testing.T) {
	s := startSite(t, postfixKind, Options{})
	bin := filepath.Join(t.TempDir(), "permalink")
	if out, err := exec.Command("go", "build", "-o", bin, "permalink-milter/cmd/permalink").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, header := range map[string]string{
		"a plain message":     common + "Message-ID: <1@example.org>\r\n",
		"no Message-ID":       common,
		"a folded Message-ID": common + "Message-ID:\r\n <3@example.org>\r\n",
		"forged fields":       common + "Message-ID: <5@example.org>\r\nMessage-ID-MD5: A\r\nMessage-ID-MD5: B\r\nArchived-At: <https://a.example/x>\r\nX-Message-ID-Hash: C\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			m := s.pass(t, s.mta.Remote(), header, "hello\r\n")
			if out, code := tool(t, bin, m.Data, "verify", "--require", "hash,archived-at", "--archive", template); code != 0 {
				t.Errorf("exit %d: %s", code, out)
			}
			stamped, _ := tool(t, bin, []byte(header+"\r\nhello\r\n"), "stamp", "--archive", template, "--list", "devel@lists.example.org")
			if diff := cmp.Diff(ours(m), ours(Message{Data: []byte(stamped)})); diff != "" {
				t.Errorf("the milter's fields and permalink stamp's differ:\n%s", diff)
			}
			again, _ := tool(t, bin, m.Data, "stamp", "--archive", template, "--list", "devel@lists.example.org")
			if again != string(m.Data) {
				t.Errorf("permalink stamp changes what the milter stamped:\n%s", cmp.Diff(string(m.Data), again))
			}
		})
	}
	t.Run("a forged permalink fails", func(t *testing.T) {
		for _, field := range forgedFields(t) {
			if out, code := tool(t, bin, []byte(common+"Message-ID: <1@example.org>\r\n"+field+"\r\n"), "verify", "--archive", template); code != 1 || !strings.Contains(out, "1 fail\n") {
				t.Errorf("%q: exit %d: %s", field, code, out)
			}
		}
	})
	t.Run("any flipped bit of the id fails", func(t *testing.T) {
		m := s.pass(t, s.mta.Remote(), common+"Message-ID: <7@example.org>\r\n", "hello\r\n")
		at := bytes.Index(m.Data, []byte("7@example.org"))
		var mbox strings.Builder
		for bit := range len("7@example.org") * 8 {
			data := slices.Clone(m.Data)
			data[at+bit/8] ^= 1 << (bit % 8)
			mbox.WriteString("From a@example.org Tue Nov 24 11:00:00 2026\n" + string(data) + "\n")
		}
		out, _ := tool(t, bin, []byte(mbox.String()), "verify", "--archive", template)
		if !strings.HasSuffix(out, "\n104 messages: 104 fail\n") {
			t.Error(out)
		}
	})
}
