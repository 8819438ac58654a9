package main

import (
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry"
	"permalink-milter/registry/httpapi"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/redisreg/redistest"
	"permalink-milter/registry/stamp"
)

// startAPI serves a registry as the daemon does, and returns the flags that
// lead to it.
func startAPI(t *testing.T, scopes string) []string {
	t.Helper()
	dir := t.TempDir()
	token, sum := httpapi.NewToken()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tokens, err := httpapi.LoadTokens(write("tokens.toml", fmt.Sprintf("[[token]]\nname = \"test\"\nsha256 = %q\nscopes = [%s]\nlists = [\"*\"]\n", sum, scopes)))
	if err != nil {
		t.Fatal(err)
	}
	handler, err := httpapi.New(httpapi.Options{Registry: registry.New(memreg.New(), registry.Options{}), Policy: &stamp.Policy{}, Tokens: tokens, Rate: -1})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return []string{"--api", server.URL, "--token-file", write("token", token+"\n")}
}

func TestTheAPIServesEachVerb(t *testing.T) {
	api := startAPI(t, `"read", "reserve", "confirm"`)
	expect := func(stdin string, code int, want string, args ...string) {
		t.Helper()
		got, out, errs := permalink(t, strings.NewReader(stdin), append(args, api...)...)
		if got != code || !strings.Contains(out+errs, want) {
			t.Errorf("%v: exit %d, want %d and %q\n%s%s", args, got, code, want, out, errs)
		}
	}
	message := "Message-ID: <abc@example.org>\nDate: today\nList-Post: <mailto:devel@lists.example.org>\n\n"
	expect(message, exitFailed, "is not reserved on devel@lists.example.org", "verify")
	expect(message, exitOK, "Message-ID-MD5", "stamp", "--archive", stampTemplate)
	expect(message, exitOK, "reservation pass: reserved VP3JZR3MSKY5TQSMS5FHURHQXI", "verify", "-v")
	expect(strings.ReplaceAll(message, "today", "tomorrow"), exitOK, "1 collided", "import", "--list", "devel@lists.example.org")
	expect("", exitOK, "VP3JZR3MSKY5TQSMS5FHURHQXI-2 reserved", "lookup", "--list", "devel@lists.example.org", "<abc@example.org>")
	expect(message, exitOK, "https://lists.example.org/devel@lists.example.org/VP3JZR3MSKY5TQSMS5FHURHQXI\n", "url", "--archive", stampTemplate)
	expect(message, exitOK, "1 message: 1 archived", "import", "--list", "devel@lists.example.org", "--url", stampTemplate)
	expect(message, exitOK, "1 message: 0 archived, 1 held already", "import", "--list", "devel@lists.example.org", "--url", stampTemplate)
	expect("", exitOK, "VP3JZR3MSKY5TQSMS5FHURHQXI archived", "lookup", "--list", "devel@lists.example.org", "<abc@example.org>")
}

func TestATokenWithoutTheScopeIsRefused(t *testing.T) {
	api := startAPI(t, `"read"`)
	code, out, errs := permalink(t, strings.NewReader("Message-ID: <abc@example.org>\nDate: today\n\n"), append([]string{"import", "--list", develList}, api...)...)
	if code != exitFailed || !strings.Contains(out, "0 reserved") || !strings.Contains(out, "-:0: error: reserve "+md5ABC) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// What the milter does while the registry does not answer, stamp does.
func TestStampWithoutAnAnswerFollowsTheConfiguration(t *testing.T) {
	message := "Message-ID: <abc@example.org>\nList-Post: <mailto:devel@lists.example.org>\n\n"
	for mode, want := range map[string]struct {
		code int
		out  string
	}{
		"stamp":    {exitOK, "Archived-At: <https://a.example/" + md5ABC + ">"},
		"tempfail": {exitTemporary, ""},
		"accept":   {exitOK, message},
	} {
		file := filepath.Join(t.TempDir(), "config.toml")
		os.WriteFile(file, fmt.Appendf(nil, "[registry]\non_failure = %q\n[[archive]]\nname = \"a\"\nlists = [\"*\"]\nurl = \"https://a.example/{token}\"\n", mode), 0o600)
		code, out, errs := permalink(t, strings.NewReader(message), "stamp", "--config", file, "--api", "http://127.0.0.1:1")
		if code != want.code || !strings.Contains(out, want.out) || want.out == "" && out != "" || !strings.Contains(errs, "registry does not answer") {
			t.Errorf("%s: exit %d\n%s%s", mode, code, out, errs)
		}
	}
}

func TestTokensAreKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	os.WriteFile(file, []byte("secret"), 0o600)
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitUsage, "the token would be sent unencrypted: write https", []string{"--api", "http://permalink.example.org", "--token-file", file}},
		{exitUsage, "write the base_url of permalink-milter", []string{"--api", "permalink.example.org"}},
		{exitConfig, "--token-file: open", []string{"--api", "https://permalink.example.org", "--token-file", file + "-none"}},
		{exitUsage, "none of the others can be", []string{"--api", "https://permalink.example.org", "--registry", "bolt:x"}},
		{exitTemporary, "registry does not answer", []string{"--api", "http://127.0.0.1:1", "--token-file", file, "--list", "devel@lists.example.org"}},
	} {
		code, out, errs := permalink(t, nil, append([]string{"lookup", "<abc@example.org>"}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) || strings.Contains(out+errs, "secret") {
			t.Errorf("%v: exit %d: %s", c.args, code, errs)
		}
	}
	code, out, _ := permalink(t, strings.NewReader("Message-ID: <abc@example.org>\nList-Post: <mailto:a@b.example>\n\n"), "verify", "--api", "http://127.0.0.1:1")
	if code != exitTemporary || !strings.Contains(out, "temperror") {
		t.Errorf("verify: exit %d: %s", code, out)
	}
}

// Redis is asked with what the configuration says, and one that is away is
// temporary trouble.
func TestRedisServesEachVerb(t *testing.T) {
	need.Program(t, "redis-server", "redis-server redis-tools")
	server, err := redistest.Start(t.TempDir(), "--requirepass", "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "password"), []byte("secret\n"), 0o600)
	file := filepath.Join(dir, "config.toml")
	os.WriteFile(file, fmt.Appendf(nil, "[registry]\nurl = \"redis://%s\"\npassword_file = %q\n", server.Addr(), filepath.Join(dir, "password")), 0o600)
	message := "Message-ID: <abc@example.org>\nDate: today\nList-Post: <mailto:devel@lists.example.org>\n\n"
	if code, out, errs := permalink(t, strings.NewReader(message), "import", "--list", "devel@lists.example.org", "--config", file); code != exitOK || !strings.Contains(out, "1 reserved") {
		t.Errorf("import: exit %d: %s%s", code, out, errs)
	}
	if code, out, errs := permalink(t, nil, "lookup", "--config", file, "<abc@example.org>"); code != exitOK || !strings.Contains(out, md5ABC) {
		t.Errorf("lookup: exit %d: %s%s", code, out, errs)
	}
	if code, out, _ := permalink(t, strings.NewReader(message), "verify", "--config", file, "--registry", "redis://"+server.Addr()); code != exitOK {
		t.Errorf("verify: exit %d: %s", code, out)
	}
	server.Stop()
	if code, _, errs := permalink(t, nil, "lookup", "--config", file, "--list", develList, md5ABC); code != exitTemporary {
		t.Errorf("while it is away: exit %d: %s", code, errs)
	}
}
