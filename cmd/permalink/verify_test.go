package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader"
	"permalink-milter/hashheader/golden"
	"permalink-milter/hashheader/vectors"
)

// permalink runs the command line in this process.
func permalink(t *testing.T, in io.Reader, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), args, stdio{in, &stdout, &stderr})
	return code, stdout.String(), stderr.String()
}

func TestOddMessagesGolden(t *testing.T) {
	file, err := filepath.Abs("testdata/messages.golden")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir("../../testdata/messages")
	code, out, errs := permalink(t, nil, "verify", "-v", "--archive", "https://lists.example.org/archives/list/{list}/message/{sha1}/",
		"--archive", "https://permalink.example.org/{token}", "pipermail.mbox", "mailman3.mboxrd", "sysv.mboxcl2", "truncated.mbox.gz", "maildir", "tree")
	if code != exitFailed || errs != "" {
		t.Errorf("exit %d, %s", code, errs)
	}
	golden.Equal(t, file, out)
	_, plain, _ := permalink(t, nil, "verify", "-v", "mailman3.mboxrd")
	_, zipped, _ := permalink(t, nil, "verify", "-v", "mailman3.mboxrd.gz")
	if diff := cmp.Diff(plain, strings.ReplaceAll(zipped, ".gz", "")); diff != "" {
		t.Error(diff)
	}
}

// Each vector's message is in one mbox, with its hashes; what the rule hashes
// must verify, a forged hash may not.
func TestVectorsVerify(t *testing.T) {
	var mbox bytes.Buffer
	var names []string
	for _, v := range vectors.Read(t, "../../testdata") {
		if v.MD5 == nil || bytes.Contains(v.Header, []byte("AAAA")) {
			continue
		}
		names = append(names, v.Name)
		fmt.Fprintf(&mbox, "From a@example.org Tue Nov 24 11:00:00 2026\nMessage-ID-MD5: %s\nMessage-ID-SHA256: %s\n%s\n", *v.MD5, *v.SHA256, v.Header)
	}
	_, out, _ := permalink(t, &mbox, "verify", "--json", "--require", "hash")
	lines := strings.SplitAfter(strings.TrimSpace(out), "\n")
	if len(lines) != len(names) || len(names) < 190 {
		t.Fatalf("%d messages of %d", len(lines), len(names))
	}
	for i, line := range lines {
		two := strings.HasPrefix(names[i], "two-fields") && strings.Contains(line, `"policy"`)
		if !strings.Contains(line, `"result":"pass","results"`) && !two {
			t.Errorf("%s: %s", names[i], line)
		}
	}
}

func TestVerifyFollows(t *testing.T) {
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/missing" {
			http.NotFound(w, r)
			return
		}
		if r.URL.Path == "/busy" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprint(w, "Message-ID: &lt;abc@example.org&gt;")
	}))
	defer site.Close()
	message := func(path string) io.Reader {
		return strings.NewReader("Message-ID: <abc@example.org>\nArchived-At: <" + site.URL + path + ">\n\n")
	}
	for path, want := range map[string]int{"/there": exitOK, "/missing": exitFailed, "/busy": exitTemporary} {
		if code, out, errs := permalink(t, message(path), "verify", "--follow", "--allow-private"); code != want {
			t.Errorf("%s: exit %d, want %d\n%s%s", path, code, want, out, errs)
		}
	}
	code, out, _ := permalink(t, message("/there"), "verify", "--follow")
	if code != exitFailed || !strings.Contains(out, "an address of a private network") {
		t.Errorf("exit %d: %s", code, out)
	}
}

// The real program, without a race detector's memory, reads far more than it
// may keep. It is asked for its peak when it has read all but not yet met the
// end: what wait returns counts the memory of this process, too.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	const size, most = 400 << 20, 100 << 10
	separator := "From a@example.org Tue Nov 24 11:00:00 2026\n"
	message := separator + "Message-ID: <abc@example.org>\nMessage-ID-MD5: VP3JZR3MSKY5TQSMS5FHURHQXI\n\n" + strings.Repeat("body body body\n", 400)
	giant := io.LimitReader(endless("Subject: "+strings.Repeat("x", 900)+"\n"), 100<<20)
	tool := filepath.Join(t.TempDir(), "permalink")
	if out, err := exec.Command("go", "build", "-o", tool, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var out bytes.Buffer
	cmd := exec.Command(tool, "verify")
	cmd.Stdout = &out
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = io.Copy(in, io.MultiReader(strings.NewReader(message+separator), giant, io.LimitReader(endless("\n\n"+message), size)))
	}
	if err != nil {
		t.Fatal(err)
	}
	peak := peakMemory(t, cmd.Process.Pid)
	in.Close()
	cmd.Wait()
	if !strings.Contains(out.String(), hashheader.ErrSectionTooBig.Error()) || !strings.Contains(out.String(), " pass, 1 permerror") {
		t.Errorf("%s", &out)
	}
	if peak > most {
		t.Errorf("%d KiB at most, want %d", peak, most)
	}
}

// peakMemory returns a process's peak resident memory in KiB.
func peakMemory(t *testing.T, pid int) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(line, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}

// endless repeats a text.
type endlessReader struct{ text, rest string }

func endless(text string) io.Reader { return &endlessReader{text, text} }

func (r *endlessReader) Read(p []byte) (int, error) {
	n := copy(p, r.rest)
	if r.rest = r.rest[n:]; r.rest == "" {
		r.rest = r.text
	}
	return n, nil
}

// The real process is interrupted while it waits for an archive.
func TestVerifyEndsAtASignal(t *testing.T) {
	asked := make(chan struct{})
	site := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}))
	defer site.Close()
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "permalink", "verify", "--follow", "--allow-private", "--timeout", "10m")
	cmd.Stdin = strings.NewReader("Message-ID: <abc@example.org>\nArchived-At: <" + site.URL + "/1>\n\n")
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	cmd.Process.Signal(os.Interrupt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitTemporary || !strings.Contains(errs.String(), "interrupted") {
		t.Errorf("exit %d: %s", code, &errs)
	}
}
