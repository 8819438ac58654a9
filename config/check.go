package config

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"permalink-milter/hashheader"
)

// complete sets the defaults that depend on other keys.
func (c *Config) complete() {
	for i := range c.Archives {
		a := &c.Archives[i]
		a.OnCollision = cmp.Or(a.OnCollision, "suffix")
		if a.Except == nil {
			a.Except = DefaultExcept()
		}
	}
	if c.LMTP.Listen != "" {
		c.LMTP.Hostname = cmp.Or(c.LMTP.Hostname, c.Hostname)
	}
}

// check completes the configuration and adds the problems of values that have
// the right type.
func (c *Config) check(p *Problems) {
	c.complete()
	walk("", reflect.ValueOf(c).Elem(), p.checkTags)
	c.checkMilter(p)
	c.checkListeners(p)
	c.checkHeader(p)
	c.checkArchives(p)
	c.checkRegistry(p)
	c.checkHTTP(p)
	c.checkLMTP(p)
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

// checkEach checks the elements of an array.
func (p *Problems) checkEach(key string, values []string, check func(string) error) {
	for i, v := range values {
		p.Add(element(key, i), check(v))
	}
}

func (c *Config) checkMilter(p *Problems) {
	if _, err := strconv.ParseUint(c.Milter.SocketMode, 8, 9); err != nil {
		p.addf("milter.socket_mode", "%.80q: write an octal mode, such as \"0660\"", c.Milter.SocketMode)
	}
	if len(c.Milter.Listen) == 0 {
		p.addf("milter.listen", "no address: %s", addressHint)
	}
	p.checkEach("milter.list_fields_from", c.Milter.ListFieldsFrom, checkClient)
	if c.Milter.MessageBudget < c.Registry.Timeout {
		p.addf("milter.message_budget", "%v is less than registry.timeout, %v: write at least that", c.Milter.MessageBudget, c.Registry.Timeout)
	}
}

func checkClient(text string) error {
	if text == Authenticated {
		return nil
	}
	if _, err := Network(text).Prefix(); err != nil {
		return fmt.Errorf("%w, or %s", err, Authenticated)
	}
	return nil
}

// checkListeners finds addresses that are configured twice.
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
				p.addf(b.key, "%s already listens on %s: write another address", a.key, b.address)
			}
		}
	}
}

func (c *Config) checkHeader(p *Problems) {
	algorithm, err := hashheader.ParseAlgorithm(c.Header.Algorithm)
	if err == nil {
		err = algorithm.Allowed()
	}
	p.Add("header.algorithm", err)
	p.checkEach("header.emit", c.Header.Emit, hashheader.CheckEmittedName)
	p.checkEach("header.remove", c.Header.Remove, hashheader.CheckFieldName)
	p.checkEach("header.identity", c.Header.Identity, checkIdentityField)
}

func checkIdentityField(name string) error {
	if slices.Contains(hashheader.IdentityFields, name) {
		return nil
	}
	return fmt.Errorf("%.80q: write one of %s", name, strings.Join(hashheader.IdentityFields, " "))
}

func (c *Config) checkArchives(p *Problems) {
	algorithm, _ := hashheader.ParseAlgorithm(c.Header.Algorithm)
	seen := make(map[string]bool)
	for i, a := range c.Archives {
		key := element("archive", i)
		switch {
		case a.Name == "":
			p.addf(key+".name", "missing: write a name, which appears in the log")
		case seen[a.Name]:
			p.addf(key+".name", "%.80q names an earlier archive: write another name", a.Name)
		}
		seen[a.Name] = true
		a.check(p, key, algorithm)
	}
}

// check checks one table [[archive]], which key names. The algorithm is that
// of {hash}.
func (a *Archive) check(p *Problems, key string, algorithm hashheader.Algorithm) {
	if len(a.Lists) == 0 && a.List == "" {
		p.addf(key+".lists", `missing: write patterns, such as ["*@lists.example.org"]`)
	}
	p.checkEach(key+".lists", a.Lists, checkPattern)
	p.checkEach(key+".except", a.Except, checkPattern)
	if a.List != "" {
		_, err := hashheader.CheckList(a.List)
		p.Add(key+".list", err)
	}
	if a.URL == "" {
		p.addf(key+".url", "missing: write the URL of a message, such as https://lists.example.org/archives/{list}/{token}")
	} else {
		p.Add(key+".url", checkTemplate(a.URL, algorithm))
	}
	if a.Target != "" {
		p.Add(key+".target", checkTemplate(a.Target, algorithm))
		p.Add(key+".target", a.checkTarget(algorithm))
	}
}

// checkTarget returns an error for a target that shows another hash than the
// archive's tokens: the resolver cannot compute it of a token.
func (a *Archive) checkTarget(algorithm hashheader.Algorithm) error {
	url, err := hashheader.ParseTemplate(a.URL)
	target, bad := hashheader.ParseTemplate(a.Target)
	if err != nil || bad != nil || strings.Contains(a.Target, "message_id") {
		return nil
	}
	tokens := url.Algorithm(algorithm)
	hash, err := tokens.Hash([]byte("sample@example.org"))
	if err != nil {
		return nil
	}
	_, err = target.Expand(hashheader.Permalink{List: "list@host.example", Token: hash, Hash: hash, Algorithm: algorithm})
	if errors.Is(err, hashheader.ErrNeedsID) {
		return fmt.Errorf("%q shows another hash than url, whose tokens are %s: write {token} or {%s}", a.Target, tokens, tokens)
	}
	return nil
}

func checkPattern(pattern string) error {
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("%.200q: %w: close the [ or write \\[", pattern, err)
	}
	return nil
}

func checkTemplate(text string, algorithm hashheader.Algorithm) error {
	t, err := hashheader.ParseTemplate(text)
	if err != nil {
		return err
	}
	return t.Allowed(algorithm)
}

func (c *Config) checkRegistry(p *Problems) {
	_, err := StoreKind(c.Registry.URL)
	p.Add("registry.url", err)
	checkPair(p, "registry", c.Registry.TLSCert, c.Registry.TLSKey)
	if strings.ContainsAny(c.Registry.KeyPrefix, "{}") {
		p.addf("registry.key_prefix", "%.80q: leave out the braces, which would put all keys into one hash slot of a Cluster", c.Registry.KeyPrefix)
	}
	if c.Registry.TLSCA+c.Registry.TLSCert != "" && !strings.HasPrefix(c.Registry.URL, "rediss") {
		key := "registry.tls_ca"
		if c.Registry.TLSCA == "" {
			key = "registry.tls_cert"
		}
		p.addf(key, "it has no effect unless registry.url begins with rediss")
	}
}

func (c *Config) checkHTTP(p *Problems) {
	checkPair(p, "http", c.HTTP.TLSCert, c.HTTP.TLSKey)
	if c.HTTP.BaseURL == "" {
		return
	}
	_, err := hashheader.ParseTemplate(c.HTTP.BaseURL + "/{token}") // as the URLs of the resolver are
	if err != nil || strings.ContainsAny(c.HTTP.BaseURL, "?#{") {
		p.addf("http.base_url", "%.200q: write an absolute URL, such as https://permalink.example.org", c.HTTP.BaseURL)
	}
}

// checkLMTP checks [lmtp] and its domains. A recipient names a list of its
// domain by the list's local part, which must therefore be unique there.
func (c *Config) checkLMTP(p *Problems) {
	type recipient struct{ name, domain string }
	seen := make(map[recipient]bool)
	for i, d := range c.LMTP.Domains {
		key := element("lmtp.domain", i)
		d.check(p, key)
		name, _, _ := strings.Cut(d.List, "@")
		r := recipient{strings.ToLower(name), strings.ToLower(d.Domain)}
		if seen[r] {
			p.addf(key+".list", "an earlier table with this domain has a list named %.80q: write each list once, or give one another domain", name)
		}
		seen[r] = true
	}
	if c.LMTP.Listen != "" && len(c.LMTP.Domains) == 0 {
		p.addf("lmtp.listen", "no [[lmtp.domain]] names the recipients: write one")
	}
}

// check checks one table [[lmtp.domain]], which key names.
func (d *Domain) check(p *Problems, key string) {
	if d.Domain == "" {
		p.addf(key+".domain", "missing: write the archive host's domain, such as archive.example.org")
	} else if _, err := hashheader.CheckList("x@" + d.Domain); err != nil {
		p.addf(key+".domain", "%.80q: write a domain, such as archive.example.org", d.Domain)
	}
	_, err := hashheader.CheckList(d.List)
	p.Add(key+".list", err)
}

// checkPair finds a certificate without its key, or a key without its
// certificate.
func checkPair(p *Problems, table, cert, key string) {
	if (cert == "") == (key == "") {
		return
	}
	have, miss := "tls_cert", "tls_key"
	if cert == "" {
		have, miss = miss, have
	}
	p.addf(join(table, have), "%s is missing: write both or neither", miss)
}
