package redisreg_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"permalink-milter/registry"
	"permalink-milter/registry/redisreg"
	"permalink-milter/registry/redisreg/redistest"
)

func command(t *testing.T, s *redistest.Server, args ...string) string {
	t.Helper()
	out, err := s.CLI(args...)
	must(t, err)
	return out
}

func TestCheckTellsWhatIsWrongWithAServer(t *testing.T) {
	t.Parallel()
	s := server(t)
	for name, c := range map[string]struct {
		setup    string // redis-cli commands, separated by semicolons; _ is a space in a word
		options  redisreg.Options
		warnings string
		err      string
	}{
		"nothing but snapshots":          {setup: "config set save 60_1000", warnings: "since the last snapshot (save 60 1000); set appendonly yes"},
		"nothing kept at all":            {setup: "config set save ", warnings: "a restart loses every reservation; set appendonly yes"},
		"all is well":                    {setup: "config set appendonly yes"},
		"eviction that would bite later": {setup: "config set appendonly yes;config set maxmemory-policy allkeys-lru", warnings: "allkeys-lru would throw"},
		"eviction":                       {setup: "config set maxmemory 100mb;config set maxmemory-policy allkeys-lfu", err: "allkeys-lfu throws reservations away"},
		"eviction of others' keys only":  {setup: "config set appendonly yes;config set maxmemory 100mb;config set maxmemory-policy volatile-lru"},
		"no compact hashes":              {setup: "config set appendonly yes;config set hash-max-listpack-entries 16", warnings: "hash-max-listpack-entries 16 makes"},
		"too few replicas":               {setup: "config set appendonly yes", options: redisreg.Options{MinReplicas: 1, Timeout: time.Second}, err: "0 of min_replicas = 1 acknowledged"},
		"a key of another kind":          {setup: "set permalink:v1:{00ff} x", err: "permalink:v1:{00ff} is not a registry's hash: delete it"},
		"no password":                    {setup: "config set requirepass secret-word", err: "password_file"},
		"a wrong password":               {options: redisreg.Options{Username: "mail", Password: "wrong-word"}, err: "password_file"},
		"a user without scripts":         {setup: "acl setuser mail on >secret-word ~* +@all -@scripting", options: redisreg.Options{Username: "mail", Password: "secret-word"}, err: "+eval +evalsha"},
		"a user who may not write":       {setup: "acl setuser mail on >secret-word ~* +@all -hset", options: redisreg.Options{Username: "mail", Password: "secret-word"}, err: "+eval +evalsha"},
		"a user of other keys":           {setup: "acl setuser mail on >secret-word ~cache:* +@all", options: redisreg.Options{Username: "mail", Password: "secret-word"}, err: "~PREFIX*"},
		"a user who may not look":        {setup: "acl setuser mail on >secret-word ~* +@all -info -config", options: redisreg.Options{Username: "mail", Password: "secret-word"}, warnings: "INFO is not permitted"},
		"a user who may look a little":   {setup: "acl setuser mail on >secret-word ~* +@all -config", options: redisreg.Options{Username: "mail", Password: "secret-word"}, warnings: "CONFIG GET save is not permitted"},
		"a replica":                      {setup: "replicaof 127.0.0.1 1", err: "this is a replica"},
		"no cluster":                     {options: redisreg.Options{URL: "redis+cluster://" + s.Addr()}, err: "write redis:// in"},
		"a database that is not there":   {options: redisreg.Options{URL: "redis://" + s.Addr() + "/99"}, err: "lower database number"},
	} {
		t.Run(name, func(t *testing.T) {
			defer reset(t, s)
			for line := range strings.SplitSeq(c.setup, ";") {
				if line != "" {
					words := strings.Split(line, " ")
					for i := range words {
						words[i] = strings.ReplaceAll(words[i], "_", " ")
					}
					command(t, s, words...)
				}
			}
			if c.options.URL == "" {
				c.options.URL = "redis://" + s.Addr()
			}
			warnings, err := open(t, c.options).Check(t.Context())
			if got := strings.Join(warnings, "\n"); !strings.Contains(got, c.warnings) || c.warnings == "" && got != "" {
				t.Errorf("warnings %q, want %q", got, c.warnings)
			}
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			if err != nil && (strings.Contains(err.Error(), "secret-word") || strings.Contains(err.Error(), "wrong-word")) {
				t.Errorf("%v tells the password", err)
			}
		})
	}
}

// permissions are those that Check's advice names.
var permissions = []string{"+eval", "+evalsha", "+hget", "+hstrlen", "+hset", "+hdel", "+hlen", "+hscan", "+wait", "+info", "+config|get"}

// reset brings the server back to its defaults.
func reset(t *testing.T, s *redistest.Server) {
	t.Helper()
	s.CLI("-a", "secret-word", "config", "set", "requirepass", "")
	for _, line := range []string{"replicaof no one", "flushall", "acl deluser mail", "config set maxmemory 0", "config set maxmemory-policy noeviction",
		"config set appendonly no", "config set hash-max-listpack-entries 512"} {
		command(t, s, strings.Fields(line)...)
	}
}

func TestCheckOnATopology(t *testing.T) {
	t.Parallel()
	g := group(t, redistest.StartCluster)
	warnings, err := open(t, redisreg.Options{URL: clusterURL(g), MinReplicas: 1}).Check(t.Context())
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "set appendonly yes") {
		t.Errorf("%q, %v", warnings, err)
	}
	for _, s := range g.Servers {
		command(t, s, append([]string{"acl", "setuser", "mail", "on", ">secret-word", "~permalink:*", "+cluster"}, permissions...)...)
	}
	warnings, err = open(t, redisreg.Options{URL: clusterURL(g), Username: "mail", Password: "secret-word"}).Check(t.Context())
	if err != nil || len(warnings) != 1 {
		t.Errorf("as an ACL user: %q, %v", warnings, err)
	}
	_, err = open(t, redisreg.Options{URL: "redis://" + g.Servers[0].Addr()}).Check(t.Context())
	if err == nil || !strings.Contains(err.Error(), "write redis+cluster://") {
		t.Errorf("a node alone: %v", err)
	}
}

func TestAServerThatIsDownIsUnavailable(t *testing.T) {
	t.Parallel()
	s := server(t)
	s.Kill()
	store := open(t, redisreg.Options{URL: "redis://" + s.Addr()})
	_, err := store.Check(t.Context())
	if !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("check: %v", err)
	}
	_, err = store.Get(t.Context(), registry.Key{List: "a@b", Hash: "7KWUTBTOSSMPYFYZ6UUJ46QCNE"})
	if !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("get: %v", err)
	}
}

func TestAServerThatIsSilentIsUnavailable(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	store := open(t, redisreg.Options{URL: "redis://" + ln.Addr().String(), Timeout: 50 * time.Millisecond})
	_, err = registry.New(store, registry.Options{}).Reserve(t.Context(), registry.Request{List: list, Hash: hash})
	must(t, err, registry.ErrUnavailable)
	_, err = store.Check(t.Context())
	must(t, err, registry.ErrUnavailable)
}
