package doors

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"testing"

	"permalink-milter/hashheader/headertest"
	"permalink-milter/milter/mtatest/need"
)

// pythonDoors returns the draft's implementation and the Mailman plugin's
// reader, which read and write a JSON object a line. In -short mode there are
// none.
func pythonDoors(t testing.TB) []door {
	t.Helper()
	if testing.Short() {
		return nil
	}
	need.Program(t, "python3", "python3")
	return []door{
		{"the draft's Python", pythonDoor("../../../hashheader/draft", "hashed_message_id.py", "jsonl")},
		{"the Mailman plugin", pythonDoor("../../../registry/mailman", "-m", "permalink_milter_archiver", "--jsonl")},
	}
}

// pythonDoor answers by a program that is run once, in a folder.
func pythonDoor(dir string, args ...string) func(testing.TB, []headertest.Message) []answer {
	return func(t testing.TB, messages []headertest.Message) (out []answer) {
		var input, errs bytes.Buffer
		e := json.NewEncoder(&input)
		for _, m := range messages {
			if err := e.Encode(map[string]string{"header": base64.StdEncoding.EncodeToString(m.Data)}); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("python3", args...)
		cmd.Dir, cmd.Stdin, cmd.Stderr = dir, &input, &errs
		lines, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, errs.String())
		}
		for line := range bytes.Lines(lines) {
			out = append(out, pythonAnswer(t, line))
		}
		return out
	}
}

// pythonAnswer reads one line. The plugin derives no ids. The draft's Python
// says no more of a message whose id is too long.
func pythonAnswer(t testing.TB, line []byte) answer {
	t.Helper()
	var got struct {
		Canonical           []byte // base64, as encoding/json has it
		Over                bool
		MD5, SHA1, Identity string
		Derived             *string
	}
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	switch {
	case got.Over:
		return unnamed(over)
	case got.Identity == "":
		return unnamed(tooLong)
	case got.Canonical == nil && got.Derived == nil:
		return answer{own: none}
	case got.Canonical == nil:
		a := answer{own: none, name: derived}
		a.setID(*got.Derived)
		return a
	}
	a := answer{own: found, name: found, md5: got.MD5, sha1: got.SHA1, identity: got.Identity}
	a.setID(string(got.Canonical))
	return a
}
