package doors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"permalink-milter/hashheader/headertest"
	"permalink-milter/hashheader/mailbox"
)

// toolDoors returns the verbs of the tool. Each reads all messages in one run,
// out of a Maildir in which they are numbered.
func toolDoors(t testing.TB) []door {
	t.Helper()
	tool := &tool{bin: filepath.Join(t.TempDir(), "permalink"), config: writeConfig(t), shared: t.TempDir()}
	if out, err := exec.Command("go", "build", "-o", tool.bin, "permalink-milter/cmd/permalink").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return []door{{"permalink hash", tool.hash}, {"permalink verify", tool.verify}, {"permalink verify of an mbox", tool.verifyMbox},
		{"permalink stamp", tool.stamp}, {"permalink import", tool.importAll}, {"permalink deliver", tool.deliver}}
}

// A tool is the built program.
type tool struct {
	bin, config string
	shared      string // a folder that becomes the Maildir of the verbs that only read
	once        sync.Once
}

// maildir returns the shared Maildir. All calls are for the same messages.
func (p *tool) maildir(t testing.TB, messages []headertest.Message) string {
	p.once.Do(func() { writeMaildir(t, p.shared, messages) })
	return p.shared
}

// run runs a verb. It returns what is printed, and fails the test on exit codes
// that are not about messages.
func (p *tool) run(t testing.TB, dir string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.Command(p.bin, args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("permalink %.200q: %v\n%s", args, err, errs.String())
	}
	return out.String(), errs.String()
}

// writeMaildir makes a folder a Maildir of messages.
func writeMaildir(t testing.TB, dir string, messages []headertest.Message) {
	t.Helper()
	for _, folder := range []string{"tmp", "new", "cur"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for i, m := range messages {
		if err := os.WriteFile(filepath.Join(dir, "cur", number(i)), m.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// number is the name of a message's file. Names sort in the order of messages.
func number(i int) string { return fmt.Sprintf("%06d", i) }

// numbered returns the message that a path of its file means.
func numbered(path string) int {
	i, err := strconv.Atoi(filepath.Base(path))
	if err != nil {
		return -1
	}
	return i
}

var hashErrors = regexp.MustCompile(`(?m)^permalink [a-z]+: (.*?/?\d{6}): (.*)$`)

// hash answers by permalink hash, which derives no ids.
func (p *tool) hash(t testing.TB, messages []headertest.Message) []answer {
	answers := make([]answer, len(messages))
	dir := filepath.Join(p.maildir(t, messages), "cur")
	var files []string
	for i := range messages {
		answers[i] = answer{}
		files = append(files, number(i))
	}
	for algorithm, key := range map[string]aspect{"md5": md5, "sha1": sha1} {
		out, errs := p.run(t, dir, append([]string{"hash", "--format", "message", "--algorithm", algorithm}, files...)...)
		for line := range strings.Lines(out) {
			hash, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
			answers[numbered(file)][key] = hash
			answers[numbered(file)][own] = found
		}
		for _, refused := range hashErrors.FindAllStringSubmatch(errs, -1) {
			if answers[numbered(refused[1])][key] != "" {
				continue // a warning, beside the hash
			}
			a := because(refused[2])
			if strings.Contains(refused[2], "no Message-ID") {
				a = answer{own: none}
			}
			answers[numbered(refused[1])] = a
		}
	}
	return answers
}

// A verified is a line of permalink verify --json.
type verified struct {
	Source    string
	Index     int
	MessageID string `json:"message_id"`
	Error     string
	Results   []struct{ Method, Result, Reason string }
}

// verify answers by permalink verify --json.
func (p *tool) verify(t testing.TB, messages []headertest.Message) []answer {
	answers := make([]answer, len(messages))
	out, _ := p.run(t, "", "verify", "--json", "--config", p.config, p.maildir(t, messages))
	for line := range strings.Lines(out) {
		v := parseVerified(t, line)
		answers[numbered(v.Source)] = v.answer()
	}
	return answers
}

func parseVerified(t testing.TB, line string) (v verified) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &v); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return v
}

func (v verified) answer() answer {
	text := v.Error
	for _, r := range v.Results {
		if r.Method == "message-id" {
			text += "\n" + r.Reason
		}
	}
	switch a := because(text); {
	case a[name] == over || a[name] == tooLong:
		return a
	case v.MessageID == "":
		return answer{own: none}
	}
	a := answer{own: found, name: found}
	a.setID(v.MessageID)
	return a
}

// verifyMbox answers by permalink verify of one mbox. It leaves out messages
// that hold lines at which an mbox is split, or that begin as no message in an
// mbox does.
func (p *tool) verifyMbox(t testing.TB, messages []headertest.Message) []answer {
	answers := make([]answer, len(messages))
	var mbox bytes.Buffer
	var held []int
	for i, m := range messages {
		if fitsMbox(m.Data) {
			held = append(held, i)
			fmt.Fprintf(&mbox, "From a@example.org Tue Nov 24 11:00:00 2026\n%s\n\n", m.Data)
		}
	}
	file := filepath.Join(t.TempDir(), "all.mbox")
	if err := os.WriteFile(file, mbox.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := p.run(t, "", "verify", "--json", "--format", "mboxrd", file)
	for line := range strings.Lines(out) {
		v := parseVerified(t, line)
		if v.Index < 1 || v.Index > len(held) {
			t.Fatalf("%d messages became others: %s", len(held), line)
		}
		answers[held[v.Index-1]] = v.answer()
	}
	return answers
}

// fitsMbox reports whether a message can stand in an mbox as it is: a field
// comes first, and no line looks like the next message.
func fitsMbox(data []byte) bool {
	first, _, _ := bytes.Cut(data, []byte("\n"))
	h, _ := headertest.Read(append(bytes.Clone(first), '\n'))
	return len(h) == 1 && !bytes.HasPrefix(first, []byte("\xef\xbb\xbf")) && !bytes.Contains(data, []byte("\nFrom "))
}

// stamp answers by the fields that permalink stamp --in-place writes. Several
// runs share the messages, since each file waits for the disk.
func (p *tool) stamp(t testing.TB, messages []headertest.Message) []answer {
	const runs = 16
	answers := make([]answer, len(messages))
	var all sync.WaitGroup
	size := (len(messages) + runs - 1) / runs
	for from := 0; from < len(messages); from += size {
		to := min(from+size, len(messages))
		all.Go(func() { copy(answers[from:to], p.stampPart(t, messages[from:to])) })
	}
	all.Wait()
	return answers
}

func (p *tool) stampPart(t testing.TB, messages []headertest.Message) []answer {
	answers := make([]answer, len(messages))
	dir := t.TempDir()
	writeMaildir(t, dir, messages)
	_, errs := p.run(t, "", "stamp", "--in-place", "--config", p.config, dir)
	for _, refused := range hashErrors.FindAllStringSubmatch(errs, -1) {
		if refused[2] == mailbox.ErrUnended.Error() {
			continue // a warning
		}
		a := because(refused[2])
		if strings.Contains(refused[2], "neither a message nor an mbox") {
			a = unnamed(none)
		}
		answers[numbered(refused[1])] = a
	}
	for i, m := range messages {
		if answers[i] != nil {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, "cur", number(i)))
		if err != nil {
			t.Error(err)
		}
		before, _ := headertest.Read(m.Data)
		after, _ := headertest.Read(data)
		answers[i] = stamped(before, after)
	}
	return answers
}

// deliver answers by permalink deliver, for some messages: it is a program run
// for each.
func (p *tool) deliver(t testing.TB, messages []headertest.Message) []answer {
	site := startLMTP(t, readPolicy(t, p.config))
	answers := make([]answer, len(messages))
	dir := filepath.Join(p.maildir(t, messages), "cur")
	for i := 0; i < len(messages); i += len(messages)/100 + 1 {
		if excepted("permalink deliver", "", messages[i].Data) {
			continue
		}
		out, errs := p.run(t, dir, "deliver", "--lmtp", site.address, "--domain", archiveHost, number(i))
		if answers[i] = because(errs); errs == "" {
			answers[i] = answer{md5: strings.TrimSpace(out)}
		}
	}
	return answers
}
