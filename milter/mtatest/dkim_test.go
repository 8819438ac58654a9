package mtatest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-msgauth/dkim"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/milter/mtatest/output"
)

const (
	dkimDomain   = "lists.example.org"
	dkimSelector = "s"
)

// dkimKey makes a key and the file by which opendkim finds its public half
// without DNS.
func dkimKey(t *testing.T, dir string) {
	t.Helper()
	need.Program(t, "openssl", "openssl")
	genkey := exec.Command(need.Program(t, "opendkim-genkey", "opendkim-tools"), "-b", "1024", "-d", dkimDomain, "-s", dkimSelector, "-D", dir)
	if out, err := genkey.CombinedOutput(); err != nil {
		t.Fatalf("opendkim-genkey: %v: %s", err, out)
	}
	der, err := exec.Command("openssl", "rsa", "-in", filepath.Join(dir, dkimSelector+".private"), "-pubout", "-outform", "PEM").Output()
	if err != nil {
		t.Fatal(err)
	}
	var key strings.Builder
	for line := range strings.Lines(string(der)) {
		if !strings.HasPrefix(line, "-----") {
			key.WriteString(strings.TrimSpace(line))
		}
	}
	record := fmt.Sprintf("%s._domainkey.%s v=DKIM1; k=rsa; p=%s\n", dkimSelector, dkimDomain, key.String())
	if err := os.WriteFile(filepath.Join(dir, "testkeys"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startSigner runs opendkim as a milter that signs. It signs that there are no
// further fields of the names in oversign, if that is not empty.
func startSigner(t *testing.T, dir, canonicalization, oversign string) (addr string) {
	t.Helper()
	port, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	config := fmt.Sprintf("Mode s\nCanonicalization %s\nDomain %s\nSelector %s\nKeyFile %s\nSocket inet:%d@127.0.0.1\nRequireSafeKeys no\n"+
		"Background no\nSyslog no\nPeerList /dev/null\nInternalHosts 127.0.0.1\nSignHeaders *,+message-id,+message-id-md5,+archived-at\n",
		canonicalization, dkimDomain, dkimSelector, filepath.Join(dir, dkimSelector+".private"), port)
	if oversign != "" {
		config += "OversignHeaders " + oversign + "\n"
	}
	file := filepath.Join(dir, "opendkim.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	var printed output.Buffer
	p, err := startProcess(exec.Command(need.Program(t, "opendkim", "opendkim"), "-f", "-x", file), &printed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// At SIGTERM it waits five seconds for its threads.
		if err := p.stop(syscall.SIGKILL, 5*time.Second); err != nil {
			t.Error(err)
		}
	})
	addr = fmt.Sprintf("inet:127.0.0.1:%d", port)
	if err := waitForListener(limit(t), p, addr); err != nil {
		t.Fatalf("opendkim: %v: %s", err, printed.String())
	}
	return addr
}

// checkSignature verifies a delivered message's signature as its receiver
// would, by two independent verifiers. It fails the test where they disagree.
func checkSignature(t *testing.T, dir string, m Message) (output string, ok bool) {
	t.Helper()
	output, ok = checkByOpenDKIM(t, dir, m)
	record, err := os.ReadFile(filepath.Join(dir, "testkeys"))
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(strings.TrimSpace(string(record)), " ")
	checks, err := dkim.VerifyWithOptions(bytes.NewReader(m.Data), &dkim.VerifyOptions{LookupTXT: func(string) ([]string, error) { return []string{key}, nil }})
	if err != nil || len(checks) != 1 {
		t.Fatalf("%d signatures, %v", len(checks), err)
	}
	if again := checks[0].Err == nil; again != ok {
		t.Errorf("opendkim %v, go-msgauth %v\n%s", ok, checks[0].Err, output)
	}
	return output, ok
}

// checkByOpenDKIM runs opendkim on a message.
func checkByOpenDKIM(t *testing.T, dir string, m Message) (output string, ok bool) {
	t.Helper()
	file := filepath.Join(dir, "message")
	if err := os.WriteFile(file, m.Data, 0o600); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "verify.conf")
	if err := os.WriteFile(config, []byte("TestPublicKeys "+filepath.Join(dir, "testkeys")+"\nRequireSafeKeys no\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("opendkim", "-x", config, "-t", file, "-vv").CombinedOutput()
	return string(out), err == nil && bytes.Contains(out, []byte("verification (s=s, d=lists.example.org, 1024-bit key) succeeded"))
}

// oversigned are the names of the fields of ours whose absence a signer may
// sign, so that nobody can add another one.
const oversigned = "message-id-md5,archived-at"

func TestSignatureMadeAfterTheMilterVerifies(t *testing.T) {
	for _, k := range kinds {
		for _, canonicalization := range []string{"simple/simple", "relaxed/relaxed"} {
			for _, oversign := range []string{"", oversigned} {
				t.Run(k.name+" "+canonicalization+" oversigned "+oversign, func(t *testing.T) { signAndVerify(t, k, canonicalization, oversign) })
			}
		}
	}
}

func signAndVerify(t *testing.T, k kind, canonicalization, oversign string) {
	dir := t.TempDir()
	dkimKey(t, dir)
	s := startSite(t, k, Options{Milters: []string{startSigner(t, dir, canonicalization, oversign)}})
	m := s.pass(t, s.mta.Local(), strings.Replace(common, "a@example.org", "devel@lists.example.org", 1)+"Message-ID: <1@example.org>\r\n", "hello\r\n")
	checkStamped(t, m)
	signature := strings.ToLower(strings.Join(m.Raw("DKIM-Signature"), ""))
	if !strings.Contains(signature, "message-id-md5") || !strings.Contains(signature, "archived-at") {
		t.Errorf("our fields are not signed: %q", signature)
	}
	if out, ok := checkSignature(t, dir, m); !ok {
		t.Errorf("does not verify:\n%s", out)
	}
	added := m
	added.Data = append([]byte("Archived-At: <https://elsewhere.example/>\r\n"), m.Data...)
	if out, ok := checkSignature(t, dir, added); ok == (oversign != "") {
		t.Errorf("with a field above ours: verifies %v:\n%s", ok, out)
	}
	m.Data = bytes.Replace(m.Data, []byte("Message-ID-MD5: "), []byte("Message-ID-MD5: X"), 1)
	if out, ok := checkSignature(t, dir, m); ok {
		t.Errorf("a changed field verifies:\n%s", out)
	}
}
