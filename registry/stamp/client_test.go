package stamp_test

import (
	"net/netip"
	"strings"
	"testing"

	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
	"permalink-milter/registry/stamp/stamptest"
)

func TestListFieldsCountFromTheClientsOfThePolicy(t *testing.T) {
	const post = "List-Post: <mailto:devel@lists.example.org>"
	inside := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::/32")}
	client := func(addr string, login bool) *stamp.Client {
		a, _ := netip.ParseAddr(addr)
		return &stamp.Client{Addr: a, Authenticated: login}
	}
	for name, c := range map[string]struct {
		from   stamp.Clients
		client *stamp.Client
		fields string
		to     string // the one recipient
		list   string // "" for none
	}{
		"everyone's count by default":          {stamp.Clients{}, client("198.51.100.1", false), post, "postmaster@example.org", "devel"},
		"a list manager's network":             {stamp.Clients{Networks: inside}, client("192.0.2.7", false), post, "postmaster@example.org", "devel"},
		"an IPv4 address in IPv6":              {stamp.Clients{Networks: inside}, client("::ffff:192.0.2.7", false), post, "postmaster@example.org", "devel"},
		"IPv6":                                 {stamp.Clients{Networks: inside}, client("2001:db8::1", false), post, "postmaster@example.org", "devel"},
		"a stranger's List-Post":               {stamp.Clients{Networks: inside}, client("198.51.100.1", false), post, "postmaster@example.org", ""},
		"a stranger's List-Id":                 {stamp.Clients{Networks: inside}, client("198.51.100.1", false), listID, "postmaster@example.org", ""},
		"a stranger who logged in":             {stamp.Clients{Networks: inside}, client("192.0.3.1", true), post, "postmaster@example.org", ""},
		"one who logged in, which is enough":   {stamp.Clients{Authenticated: true}, client("198.51.100.1", true), post, "postmaster@example.org", "devel"},
		"one who did not log in":               {stamp.Clients{Authenticated: true}, client("192.0.2.7", false), post, "postmaster@example.org", ""},
		"a client without an address":          {stamp.Clients{Networks: inside}, client("", false), post, "postmaster@example.org", ""},
		"the envelope counts for strangers":    {stamp.Clients{Networks: inside}, client("198.51.100.1", false), "List-Post: <mailto:users@lists.example.org>", "devel@lists.example.org", "devel"},
		"a file has no client":                 {stamp.Clients{Networks: inside}, nil, post, "postmaster@example.org", "devel"},
		"another list's digest that is posted": {stamp.Clients{Networks: inside}, client("198.51.100.1", false), "X-Mailman-Version: 3.3.8\nList-Id: <x.example.net>", "devel@lists.example.org", "devel"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &stamp.Message{Header: stamptest.Header(append(strings.Split(c.fields, "\n"), abc)...), Envelope: envelope([]string{c.to}), Client: c.client}
			reg := registry.New(memreg.New(), registry.Options{})
			p := stamptest.Policy(t, func(p *stamp.Policy) { p.ListFieldsFrom = c.from })
			d := stamp.Decide(m, p, func(r registry.Request) (registry.Result, error) { return reg.Reserve(t.Context(), r) })
			list := ""
			for _, s := range d.Stamps {
				list += strings.TrimSuffix(s.List, "@lists.example.org")
			}
			if list != c.list || d.Hash != abcHash {
				t.Errorf("list %q, notes %q", list, d.Notes)
			}
		})
	}
}
