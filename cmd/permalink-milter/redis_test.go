package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	gomilter "github.com/emersion/go-milter"

	"permalink-milter/milter/mtatest/need"
	"permalink-milter/registry/redisreg/redistest"
)

func startRedis(t *testing.T, args ...string) *redistest.Server {
	t.Helper()
	need.Program(t, "redis-server", "redis-server redis-tools")
	s, err := redistest.Start(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func redisConfig(s *redistest.Server) string {
	return "registry.url = \"redis://" + s.Addr() + "\"\n"
}

func TestTwoHostsAgreeOnOneRedisAlsoWhenItWasGone(t *testing.T) {
	server := startRedis(t, "--appendonly", "yes", "--appendfsync", "always")
	var hosts []*process
	for range 2 {
		hosts = append(hosts, start(t, redisConfig(server)+archive("one.example")))
	}
	stamp := func(host *process, date string) string {
		got, _ := connect(t, "unix", host.socket()).begin(messageID, listID, "Date: "+date).end().First("Archived-At")
		return strings.TrimSuffix(strings.TrimPrefix(got, "<https://one.example/devel@lists.example.org/"), ">")
	}
	for i, host := range hosts {
		if first, second := stamp(host, "one"), stamp(host, "two"); first != md5Hash || second != md5Hash+"-2" {
			t.Errorf("host %d: %s and %s", i, first, second)
		}
	}
	server.Kill()
	if got := stamp(hosts[0], "three"); got != md5Hash {
		t.Errorf("without Redis: %s, want the bare hash", got)
	}
	hosts[0].log.wait(t, "journalled")
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	// Another message holds the bare hash: the replay finds the conflict.
	hosts[0].log.wait(t, "is another message's")
	if got := stamp(hosts[1], "three"); got != md5Hash+"-3" {
		t.Errorf("after the replay: %s", got)
	}
	for _, host := range hosts {
		host.stop(t)
	}
}

func TestRedisThatCannotHoldARegistryIsRefusedAtTheStart(t *testing.T) {
	for name, c := range map[string]struct {
		args         []string
		config, want string
	}{
		"it evicts any key":   {args: []string{"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"}, want: "noeviction"},
		"it wants a password": {args: []string{"--requirepass", "secret"}, want: "registry.password_file"},
		"a wrong password": {args: []string{"--requirepass", "secret"}, config: "registry.password_file = \"DIR/password\"\n",
			want: "registry.password_file to what the server knows"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &process{dir: t.TempDir()}
			write(t, filepath.Join(p.dir, "password"), "wrong\n")
			p.configure(t, redisConfig(startRedis(t, c.args...))+c.config)
			out, err := exec.Command("permalink-milter", "--config", p.file()).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != exitConfig || !strings.Contains(string(out), c.want) {
				t.Errorf("%v, want exit 78 and %q:\n%s", err, c.want, out)
			}
		})
	}
}

func TestDaemonStartsWhileRedisIsDown(t *testing.T) {
	server := startRedis(t)
	server.Stop()
	p := start(t, redisConfig(server)+archive("one.example"))
	p.log.wait(t, "does not answer yet")
	if got, _ := connect(t, "unix", p.socket()).begin(messageID, listID).end().First("Archived-At"); !strings.HasSuffix(got, md5Hash+">") {
		t.Errorf("Archived-At: %s", got)
	}
	p.stop(t)
}

// A reload takes the changed password for the connections that come after it.
func TestReloadTakesAChangedPassword(t *testing.T) {
	server := startRedis(t)
	redis := func(args ...string) {
		t.Helper()
		if out, err := server.CLI(args...); err != nil || strings.Contains(out, "ERR") {
			t.Fatalf("%v: %v %s", args, err, out)
		}
	}
	redis("acl", "setuser", "mail", "on", ">first", "~*", "+@all")
	secret := filepath.Join(t.TempDir(), "secret")
	write(t, secret, "first\n")
	p := start(t, "[registry]\nurl = \"redis://"+server.Addr()+"\"\nusername = \"mail\"\npassword_file = \""+secret+"\"\non_failure = \"tempfail\"\n"+archive("one.example"))
	connect(t, "unix", p.socket()).begin(messageID, listID).end()

	redis("acl", "setuser", "mail", "<first", ">second")
	redis("client", "kill", "user", "mail")
	write(t, secret, "second\n")
	p.signal(t, syscall.SIGHUP)
	p.log.wait(t, "configuration reloaded")
	var got string
	for end := time.Now().Add(patience); got == "" && time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		m := connect(t, "unix", p.socket()).begin(messageID, listID)
		if actions, act, err := m.s.End(); err == nil && act.Code == gomilter.ActContinue && len(actions) > 0 {
			got = actions[len(actions)-1].HeaderValue
		}
	}
	if !strings.HasSuffix(got, md5Hash+">") {
		t.Errorf("after the password was changed: %q", got)
	}
	p.stop(t)
}

// Redis can be told to throw keys away while it runs.
func TestEvictionAtRunTimeIsNoticed(t *testing.T) {
	server, admin := startRedis(t), "127.0.0.1:"+freePort(t)
	p := start(t, redisConfig(server)+"admin.listen = \""+admin+"\"\n"+archive("one.example"))
	redis := func(args ...string) {
		t.Helper()
		if _, err := server.CLI(append([]string{"config", "set"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	redis("maxmemory", "100mb")
	redis("maxmemory-policy", "allkeys-lru")
	p.log.wait(t, "Redis may now throw reservations away")
	if code, body := get(t, "http://"+admin+"/readyz"); code != 200 || !strings.Contains(body, "warning: the registry may lose reservations: redis "+server.Addr()+": maxmemory-policy allkeys-lru") {
		t.Errorf("readyz: %d %s", code, body)
	}
	if _, body := get(t, "http://"+admin+"/metrics"); !strings.Contains(body, "permalink_milter_registry_evicts 1\n") {
		t.Error("the metric does not say it")
	}
	redis("maxmemory-policy", "noeviction")
	p.log.wait(t, "Redis keeps reservations again")
	if _, body := get(t, "http://"+admin+"/readyz"); body != "ok\n" {
		t.Errorf("readyz: %s", body)
	}
	p.stop(t)
}
