package mailmantest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
)

const (
	hashPatch = "../../../config/archivers/mailman-hash.patch"
	hashPage  = "../../../config/archivers/mailman-hash.md"
	newTest   = "test_white_space_does_not_contribute_to_hash"
)

// TestMailmanHashPatch applies the patch for Mailman to a copy of it, first the tests alone, and runs Mailman's own
// tests of the function. The classes that need Mailman's runner of tests are left out.
func TestMailmanHashPatch(t *testing.T) {
	need.File(t, python, "testdata/install.sh python3")
	need.File(t, unpacked(t), "registry/mailman/mailmantest/install.sh")
	git := need.Program(t, "git", "git")
	patch, err := filepath.Abs(hashPatch)
	if err != nil {
		t.Fatal(err)
	}
	m := copyMailman(t)
	apply := func(which string) {
		t.Helper()
		cmd := exec.CommandContext(limit(t), git, "apply", "-p2", which, patch)
		cmd.Dir = m.o.Dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git apply: %v: %s", err, out)
		}
	}
	if out, err := m.testEmail(t); err != nil {
		t.Errorf("Mailman's tests fail as they are: %s", out)
	}
	before := m.rightHashes(t)
	apply("--include=*/test_email.py")
	if out, err := m.testEmail(t); err == nil || !strings.Contains(out, "FAIL: "+newTest) || strings.Contains(out, "ERROR:") {
		t.Errorf("without the patch the new test does not fail: %v: %s", err, out)
	}
	apply("--exclude=*/test_email.py")
	if out, err := m.testEmail(t); err != nil || !strings.Contains(out, newTest) {
		t.Errorf("with the patch: %v: %s", err, out)
	}
	after := m.rightHashes(t)
	page, err := os.ReadFile(hashPage)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("Mailman's hash is right for %d without the patch, and for %d with it", before, after)
	if text := strings.Join(strings.Fields(string(page)), " "); !strings.Contains(text, want) {
		t.Errorf("config/archivers/mailman-hash.md does not say: %s", want)
	}
}

// A patched Mailman is a copy that Python finds before the original.
type patched struct{ Mailman }

// copyMailman copies Mailman's own package into a folder where Python looks first.
func copyMailman(t *testing.T) *patched {
	t.Helper()
	m := &patched{Mailman{o: Options{Dir: t.TempDir()}}}
	if err := m.findPackages(); err != nil {
		t.Fatal(err)
	}
	code := os.DirFS(filepath.Join(m.root, "usr/lib/python3/dist-packages/mailman"))
	if err := errors.Join(os.CopyFS(m.o.Dir, programs), os.CopyFS(m.file("mailman"), code)); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *patched) run(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := m.command(limit(t), args...)
	for i, variable := range cmd.Env {
		if path, ok := strings.CutPrefix(variable, "PYTHONPATH="); ok {
			cmd.Env[i] = "PYTHONPATH=" + m.o.Dir + ":" + path
		}
	}
	var out, failures strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &out, &failures
	err = cmd.Run()
	return out.String(), failures.String(), err
}

func (m *patched) testEmail(t *testing.T) (out string, err error) {
	_, out, err = m.run(t, nil, "-B", "-m", "unittest", "-v", "mailman.utilities.tests.test_email.TestEmail")
	return out, err
}

// rightHashes counts the vectors of forms that mailers write for which Mailman's hash is right.
func (m *patched) rightHashes(t *testing.T) (right int) {
	t.Helper()
	const vectors = "../../../testdata/vectors/message-id.jsonl"
	const program = `
import base64, email, json, sys
from mailman.email.message import Message
from mailman.utilities.email import add_message_hash
for line in sys.stdin:
    vector = json.loads(line)
    if vector["class"] == "mailer":
        msg = email.message_from_bytes(base64.b64decode(vector["header"]), Message)
        print(json.dumps(add_message_hash(msg) == vector["sha1"]))
`
	file, err := os.Open(vectors)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out, failures, err := m.run(t, file, "-B", "-c", program)
	if err != nil {
		t.Fatalf("%v: %s", err, failures)
	}
	for answers := json.NewDecoder(strings.NewReader(out)); answers.More(); {
		var is bool
		if err := answers.Decode(&is); err != nil {
			t.Fatal(err)
		}
		if is {
			right++
		}
	}
	return right
}
