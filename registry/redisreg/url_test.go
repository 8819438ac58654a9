package redisreg

import (
	"errors"
	"net"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// form is what a URL comes to.
type form struct {
	Addrs, User, Password, Primary string
	DB                             int
	Cluster, TLS                   bool
}

func TestURLForms(t *testing.T) {
	for text, want := range map[string]form{
		"redis://redis.example.org":              {Addrs: "redis.example.org:6379"},
		"redis://mail:s%40fe@10.0.0.1:6380/3":    {Addrs: "10.0.0.1:6380", User: "mail", Password: "s@fe", DB: 3},
		"redis://:pw@[::1]":                      {Addrs: "[::1]:6379", Password: "pw"},
		"rediss://[::1]:7000/":                   {Addrs: "[::1]:7000", TLS: true},
		"unix:///run/redis/redis.sock":           {Addrs: "/run/redis/redis.sock"},
		"unix://mail:pw@/run/redis.sock?db=2":    {Addrs: "/run/redis.sock", User: "mail", Password: "pw", DB: 2},
		"redis+sentinel://a,b:5000/mymaster":     {Addrs: "a:26379 b:5000", Primary: "mymaster"},
		"rediss+sentinel://u:p@a:1,b:2/m/7":      {Addrs: "a:1 b:2", User: "u", Password: "p", Primary: "m", DB: 7, TLS: true},
		"redis+cluster://a:7000,b,[2001:db8::1]": {Addrs: "a:7000 b:6379 [2001:db8::1]:6379", Cluster: true},
		"rediss+cluster://a/":                    {Addrs: "a:6379", Cluster: true, TLS: true},
	} {
		o, tls, err := parseURL(text)
		got := form{strings.Join(o.Addrs, " "), o.Username, o.Password, o.MasterName, o.DB, o.IsClusterMode, tls}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", text, err, diff)
		}
	}
}

func TestURLErrorsSayWhatToWrite(t *testing.T) {
	for text, want := range map[string]error{
		"":                          errScheme,
		"localhost:6379":            errScheme,
		"http://localhost":          errScheme,
		"redis+other://localhost":   errScheme,
		"redis://":                  errHost,
		"redis://a:port":            errHost,
		"redis://a,b":               errHost,
		"redis://a:1:2":             errHost,
		"redis+cluster://a,,b":      errHost,
		"redis://a/first":           errDatabase,
		"redis://a/-1":              errDatabase,
		"redis://u:%zz@a":           errUser,
		"redis://a?db=1":            errQuery,
		"unix:///s?timeout=1":       errQuery,
		"unix://host/s":             errPath,
		"unix://":                   errPath,
		"redis+sentinel://a":        errPrimary,
		"redis+sentinel://a/m/zero": errDatabase,
		"redis+cluster://a/1":       errCluster,
	} {
		if _, _, err := parseURL(text); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestNoErrorAndNoPrintTellsThePassword(t *testing.T) {
	for _, text := range []string{"redis://mail:hunter2@a:b", "redis://mail:hunter2", "redis://mail:hun/hunter2@a", "hunter2", "redis://:hunter2@a/x"} {
		if _, err := Open(Options{URL: text}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("redis+sentinel://u:p@a:1,b:2/m/7")
	f.Add("unix://mail:pw@/run/redis.sock?db=2")
	f.Fuzz(func(t *testing.T, text string) {
		o, _, err := parseURL(text)
		if err != nil {
			return
		}
		if len(o.Addrs) == 0 || o.DB < 0 {
			t.Errorf("%q: %q, database %d", text, o.Addrs, o.DB)
		}
		for _, addr := range o.Addrs {
			if _, _, err := net.SplitHostPort(addr); err != nil && !path.IsAbs(addr) {
				t.Errorf("%q: %v", text, err)
			}
		}
	})
}
