package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
