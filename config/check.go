package config

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// complete fills in the defaults that other keys give.
func (c *Config) complete() {
	for i := range c.Archives {
		c.Archives[i].OnCollision = cmp.Or(c.Archives[i].OnCollision, "suffix")
	}
	if c.LMTP.Listen != "" {
		c.LMTP.Hostname = cmp.Or(c.LMTP.Hostname, c.Hostname)
	}
}

// check adds what is wrong with values of the right type.
func (c *Config) check(p *Problems) {
	walk("", reflect.ValueOf(c).Elem(), p.checkTags)
	if _, err := strconv.ParseUint(c.Milter.SocketMode, 8, 9); err != nil {
		p.addf("milter.socket_mode", "%.80q: write an octal mode, as \"0660\"", c.Milter.SocketMode)
	}
	if len(c.Milter.Listen) == 0 {
		p.addf("milter.listen", "no address: %s", addressHint)
	}
	if c.Milter.MessageBudget < c.Registry.Timeout {
		p.addf("milter.message_budget", "%v is less than registry.timeout, %v: write at least that", c.Milter.MessageBudget, c.Registry.Timeout)
	}
	c.checkListeners(p)
	c.checkArchives(p)
	c.checkHTTP(p)
	c.checkLMTP(p)
	checkPair(p, "registry", c.Registry.TLSCert, c.Registry.TLSKey)
	checkPair(p, "http", c.HTTP.TLSCert, c.HTTP.TLSKey)
}

// checkTags checks a value against the tags oneof and min.
func (p *Problems) checkTags(path string, f reflect.StructField, v reflect.Value) {
	if choices := f.Tag.Get("oneof"); choices != "" && !slices.Contains(strings.Fields(choices), v.String()) {
		p.addf(path, "%.80q: write one of %s", v.String(), choices)
	}
	switch least := f.Tag.Get("min"); {
	case least == "1" && v.Int() < 1:
		p.addf(path, "%v: write a value above zero", v.Interface())
	case least == "0" && v.Int() < 0:
		p.addf(path, "%v: write zero or more", v.Interface())
	}
}

// checkListeners finds addresses that stand twice.
func (c *Config) checkListeners(p *Problems) {
	type listener struct {
		key     string
		address Address
	}
	all := []listener{{"admin.listen", c.Admin.Listen}, {"http.listen", c.HTTP.Listen}, {"lmtp.listen", c.LMTP.Listen}}
	for i, a := range c.Milter.Listen {
		key := element("milter.listen", i)
		if a == "" {
			p.addf(key, "no address: %s", addressHint)
		}
		all = append(all, listener{key, a})
	}
	for i, b := range all {
		for _, a := range all[:i] {
			if a.address.clashes(b.address) {
				p.addf(b.key, "%s is the address of %s, too: write another one", b.address, a.key)
			}
		}
	}
}

func (c *Config) checkArchives(p *Problems) {
	seen := make(map[string]bool)
	for i, a := range c.Archives {
		key := element("archive", i)
		switch {
		case a.Name == "":
			p.addf(key+".name", "missing: write one, for the log")
		case seen[a.Name]:
			p.addf(key+".name", "%.80q is the name of an archive before it: write another one", a.Name)
		}
		seen[a.Name] = true
		if len(a.Lists) == 0 && a.List == "" {
			p.addf(key+".lists", `missing: write patterns, as ["*@lists.example.org"]`)
		}
		for j, pattern := range a.Lists {
			if _, err := path.Match(pattern, ""); err != nil {
				p.addf(element(key+".lists", j), "%.200q: %w: close the [ or write \\[", pattern, err)
			}
		}
	}
}

func (c *Config) checkHTTP(p *Problems) {
	if c.HTTP.BaseURL == "" {
		return
	}
	u, err := url.Parse(c.HTTP.BaseURL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		p.addf("http.base_url", "%.200q: write an absolute URL, as https://permalink.example.org", c.HTTP.BaseURL)
	}
}

func (c *Config) checkLMTP(p *Problems) {
	seen := make(map[Domain]bool)
	for i, d := range c.LMTP.Domains {
		key := element("lmtp.domain", i)
		pair := Domain{Domain: strings.ToLower(d.Domain), List: strings.ToLower(d.List)}
		switch {
		case d.Domain == "":
			p.addf(key+".domain", "missing: write the archive host's domain, as archive.example.org")
		case seen[pair]:
			p.addf(key+".list", "%.80q stands before with this domain: write each list of a domain once", d.List)
		}
		seen[pair] = true
	}
	if c.LMTP.Listen != "" && len(c.LMTP.Domains) == 0 {
		p.addf("lmtp.listen", "no [[lmtp.domain]] says which messages are meant: write one")
	}
}

// checkPair finds a certificate without its key, or the other way round.
func checkPair(p *Problems, table, cert, key string) {
	if (cert == "") != (key == "") {
		have, miss := "tls_cert", "tls_key"
		if cert == "" {
			have, miss = miss, have
		}
		p.Add(join(table, have), fmt.Errorf("goes with %s: write both or none", miss))
	}
}
