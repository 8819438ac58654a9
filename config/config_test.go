package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/config"
	"permalink-milter/hashheader/golden"
)

// url is a template of permalinks.
const url = "https://archive.example/{token}"

// load parses a file that has no problem.
func load(t *testing.T, text string) *config.Config {
	t.Helper()
	c, problems := config.Parse("c.toml", []byte(text))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStoreKinds(t *testing.T) {
	for url, want := range map[string]string{
		"bolt:a.db": config.Bolt, "memory:": config.Memory, "redis://h": config.Redis, "unix:///s": config.Redis, "rediss+cluster://h": config.Redis,
	} {
		if got, err := config.StoreKind(url); err != nil || got != want {
			t.Errorf("%s: %q, %v", url, got, err)
		}
	}
	for url, want := range map[string]string{"bolt:": "names no file", "http://u:secret@h": "xxxxx@h", "": "unknown scheme", "redis+x://h": "unknown scheme"} {
		if _, err := config.StoreKind(url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", url, err, want)
		}
	}
}

func TestBoltFilesAreInTheStateDirectory(t *testing.T) {
	for url, want := range map[string]string{
		"bolt:a.db": "bolt:/var/lib/x/a.db", "bolt:/a.db": "bolt:/a.db", "bolt:": "bolt:", "redis://h/0": "redis://h/0", "memory:": "memory:",
	} {
		if got := config.InStateDir(url, "/var/lib/x"); got != want {
			t.Errorf("%s: %s, want %s", url, got, want)
		}
	}
}

func TestNetworks(t *testing.T) {
	for text, want := range map[string]string{"192.0.2.0/24": "192.0.2.0/24", "192.0.2.7": "192.0.2.7/32", "2001:db8::1": "2001:db8::1/128"} {
		var n config.Network
		if err := n.UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if p, err := n.Prefix(); err != nil || p.String() != want {
			t.Errorf("%s: %v, %v", text, p, err)
		}
	}
}

// A configuration that no file wrote is checked by the same rules.
func TestCheckCompletesAndChecksAConfiguration(t *testing.T) {
	c := config.Default()
	c.Archives = []config.Archive{{Name: "a", Lists: []string{"*"}, URL: url}}
	if err := c.Check().Err(); err != nil || c.Archives[0].OnCollision != "suffix" {
		t.Errorf("%+v, %v", c.Archives, err)
	}
	c.Header.Algorithm = "md4"
	if err := c.Check().Err(); err == nil || !strings.HasPrefix(err.Error(), "header.algorithm: ") {
		t.Errorf("md4: %v", err)
	}
}

func TestEveryProblemIsReported(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(file, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, problems := config.Parse(filepath.Base(file), data)
			if problems.Err() == nil {
				t.Fatal("no problem")
			}
			golden.Equal(t, strings.TrimSuffix(file, ".toml")+".golden", problems.Error()+"\n")
		})
	}
}

func TestProblemsOfTheCallerHaveThePositionOfTheKey(t *testing.T) {
	_, problems := config.Parse("c.toml", []byte("[[archive]]\nname=\"a\"\nlist=\"a@b\"\nurl = \""+url+"\"\n[[archive]]\nname = \"b\"\nlist=\"b@b\"\nurl = \""+url+"\"\n"))
	sentinel := errors.New("no template")
	problems.Add("archive[1].url", sentinel)
	problems.Add("archive[1].url", errors.New("a second problem of one key"))
	problems.Add("archive[0].target", errors.New("missing"))
	problems.Add("registry.url", errors.New("not in the file"))
	problems.Add("header.algorithm", nil)
	err := problems.Err()
	want := "c.toml: registry.url: not in the file\nc.toml:1:3: archive[0].target: missing\nc.toml:8:1: archive[1].url: no template"
	if !errors.Is(err, sentinel) || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestFileOverridesTheDefaults(t *testing.T) {
	if diff := cmp.Diff(config.Default().Milter, load(t, "").Milter); diff != "" {
		t.Errorf("an empty file changes a default:\n%s", diff)
	}
	c := load(t, `hostname = "mx.example.org"
milter = {listen = ["127.0.0.1:1", "[::1]:2", "unix:/run//a/../s", "systemd:m"]}
http.listen = "inet:127.0.0.1:3"
lmtp = {listen = "127.0.0.1:24", max_message = 65536, domain = [{domain = "d", list = "l@d", deliver = "lmtp:127.0.0.1:25"}]}
http.max_body = "10 KiB"
registry.timeout = "1s"
[[archive]]
name = "a"
list = "a@b"
url = "https://a.example/{token}"
`)
	want := []config.Address{"inet:127.0.0.1:1", "inet6:[::1]:2", "unix:/run/s", "systemd:m"}
	if diff := cmp.Diff(want, c.Milter.Listen); diff != "" {
		t.Error(diff)
	}
	if c.LMTP.MaxMessage != 64<<10 || c.HTTP.MaxBody != 10<<10 || time.Duration(c.Registry.Timeout) != time.Second {
		t.Errorf("%+v", c)
	}
	if diff := cmp.Diff(config.DefaultExcept(), c.Archives[0].Except); diff != "" {
		t.Error(diff)
	}
	if c.Archives[0].OnCollision != "suffix" || c.LMTP.Hostname != "mx.example.org" {
		t.Errorf("defaults that other keys give: %+v", c)
	}
}

func TestNoFileMeansTheDefaults(t *testing.T) {
	c, problems := config.Load("")
	if err := problems.Err(); err != nil || len(c.Archives) != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	c, problems = config.Load("testdata/missing")
	if err := problems.Err(); c != nil || !errors.Is(err, os.ErrNotExist) || err.Error() != "testdata/missing: read configuration: no such file or directory" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestValuesAreWrittenAsTheyAreRead(t *testing.T) {
	for text, want := range map[string]string{"0": "0s", "90s": "1m30s", "120m": "2h", "1h0m1s": "1h0m1s", "60s": "1m", "1500ms": "1.5s"} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("duration %s: %v, %v", text, d, err)
		}
	}
	for text, want := range map[string]string{"0": "0B", "1024": "1KiB", "1000B": "1000B", "2048 MiB": "2GiB", "3MiB": "3MiB"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("size %s: %v, %v", text, s, err)
		}
	}
	for _, text := range []string{"1MB", "-1", "", "9000000000GiB", "1.5MiB"} {
		var s config.Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("size %q: %v", text, s)
		}
	}
}

func TestAddresses(t *testing.T) {
	for text, want := range map[string]config.Address{
		"":                    "",
		"inet:127.0.0.1:8899": "inet:127.0.0.1:8899",
		"127.0.0.1:8899":      "inet:127.0.0.1:8899",
		"localhost:0":         "inet:localhost:0",
		":8899":               "inet:127.0.0.1:8899",
		"inet6::8899":         "inet6:[::1]:8899",
		"0.0.0.0:8899":        "inet:0.0.0.0:8899",
		"[::1]:8899":          "inet6:[::1]:8899",
		"inet6:[::]:1":        "inet6:[::]:1",
		"unix:/run//m.sock":   "unix:/run/m.sock",
		"systemd:milter":      "systemd:milter",
	} {
		var a config.Address
		if err := a.UnmarshalText([]byte(text)); err != nil || a != want {
			t.Errorf("%q: %q, %v", text, a, err)
		}
	}
	for text, want := range map[string]string{
		"8899":                 "is not an address",
		"inet:127.0.0.1":       "is not an address",
		"inet:127.0.0.1:smtp":  "is not an address",
		"inet:127.0.0.1:65536": "is not an address",
		"inet:8899@127.0.0.1":  "is not an address",
		"inet6:::1:8899":       "is not an address",
		"unix:m.sock":          "absolute path",
		"systemd:":             "FileDescriptorName=",
	} {
		var a config.Address
		if err := a.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v", text, a, err)
		}
	}
}

// Each document has one unknown key, x, in some place.
func TestPlacesOfKeys(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"behind a byte order mark":       {"\uFEFFx = 1", "c.toml:1:1: x:"},
		"with Windows line ends":         {"# c\r\n[log]\r\n  x = 1\r\n", "c.toml:3:3: log.x:"},
		"in a dotted key":                {"milter . x = 1", "c.toml:1:10: milter.x:"},
		"in an inline table":             {"log = { level = \"info\", x = 1 }", "c.toml:1:25: log.x:"},
		"a quoted key":                   {"[log]\n\"x y\" = 1", "c.toml:2:1: log.\"x y\":"},
		"in the second of two tables":    {"[[lmtp.domain]]\ndomain=\"a\"\nlist=\"l@a\"\n[[lmtp.domain]]\nx=1\ndomain=\"b\"\nlist=\"l@a\"", "c.toml:5:1: lmtp.domain[1].x:"},
		"a table":                        {"[milter]\n[x]\ny = 1", "c.toml:2:2: x:"},
		"a table in one of an array":     {"[[archive]]\nname=\"a\"\nlist=\"a@b\"\nurl=\"" + url + "\"\n[archive.x]", "c.toml:5:10: archive[0].x:"},
		"in an inline array of tables":   {"archive = [\n  {name=\"a\", list=\"a@b\", url=\"" + url + "\"},\n  {name=\"b\", list=\"b@b\", x=1, url=\"" + url + "\"},\n]", "c.toml:3:26: archive[1].x:"},
		"behind other letters than ours": {"hostname = \"\u00fc\"; x = 1", "c.toml:1:16:"},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := config.Parse("c.toml", []byte(test.text))
			if err := problems.Err(); err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %s…", err, test.want)
			}
		})
	}
}

func TestHintsForUnknownKeys(t *testing.T) {
	for text, want := range map[string]string{
		"[milter]\nsocket_mod = 1":           "did you mean socket_mode?",
		"[registry]\nrl = 1":                 "the keys here are url timeout",
		"[regisrty]\nurl = \"memory:\"":      "did you mean registry?",
		"max_body = 1":                       "it belongs in [http]",
		"[header]\nurl = 1":                  "it belongs in [archive] or [registry]",
		strings.Repeat("long", 100) + " = 1": "the keys here are hostname",
	} {
		_, problems := config.Parse("c.toml", []byte(text))
		if err := problems.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("example.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(example))
	for _, text := range []string{"a.b.c = [1, {d = 2}]", "[[archive]]\n[archive.x]\n[[archive.x.y]]", "archive = [[], 1]", "[lmtp]\ndomain = 1", "\"\" = 1979-05-27"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, problems := config.Parse("c.toml", []byte(text))
		err := problems.Err()
		if c == nil && err == nil {
			t.Fatal("neither a configuration nor a problem")
		}
		if c == nil || err != nil {
			return
		}
		var printed strings.Builder
		if err := config.Write(&printed, c); err != nil {
			t.Fatal(err)
		}
		if _, problems := config.Parse("printed", []byte(printed.String())); problems.Err() != nil {
			t.Errorf("what is printed does not load: %v\n%s", problems, printed.String())
		}
	})
}

func TestATargetOfAnotherHashThanTheTokensIsRefused(t *testing.T) {
	for _, c := range []struct{ url, target, want string }{
		{"https://r.example/{list}/{token}", "https://a.example/{sha1}", "tokens are md5: write {token} or {md5}"},
		{"https://r.example/{list}/{sha1}", "https://a.example/{hash}", "tokens are sha1"},
		{"https://r.example/{list}/{sha1}", "https://a.example/{sha1}", ""},
		{"https://r.example/{list}/{token}", "https://a.example/{md5}/{listname}", ""},
		{"https://r.example/{list}/{token}", "https://a.example/{message_id}", ""},
	} {
		text := "[[archive]]\nname = \"a\"\nlists = [\"*\"]\nurl = \"" + c.url + "\"\ntarget = \"" + c.target + "\"\n"
		_, problems := config.Parse("c.toml", []byte(text))
		err := problems.Err()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), "c.toml:5:1: archive[0].target: ") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s to %s: %v, want %q", c.url, c.target, err, c.want)
		}
	}
}

func TestRelativeFilesBeginBesideTheConfiguration(t *testing.T) {
	c, problems := config.Parse("/etc/p/c.toml", []byte("state_dir = \"state\"\n[registry]\nurl = \"rediss://h\"\npassword_file = \"secret\"\n"+
		"tls_ca = \"ca.pem\"\ntls_cert = \"/c.pem\"\ntls_key = \"k.pem\"\n[http]\ntokens_file = \"tokens\"\ntls_cert = \"c.pem\"\ntls_key = \"k.pem\"\n"))
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	got := []string{c.StateDir, c.Registry.PasswordFile, c.Registry.TLSCA, c.Registry.TLSCert, c.Registry.TLSKey, c.HTTP.TokensFile, c.HTTP.TLSCert, c.HTTP.TLSKey}
	want := []string{"/etc/p/state", "/etc/p/secret", "/etc/p/ca.pem", "/c.pem", "/etc/p/k.pem", "/etc/p/tokens", "/etc/p/c.pem", "/etc/p/k.pem"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
