package stamp

import (
	"cmp"
	"strings"

	"permalink-milter/hashheader"
)

// A Location is what a permalink says of its message.
type Location struct {
	Archive   *Archive
	List      string // "" where the URL does not show it
	Token     string // "" where the URL shows none, nor the Message-ID
	Claim     string // of the message's identity, "" where the URL does not show it
	MessageID []byte // nil where the URL does not hold it
}

// Reference returns what ParseReference reads: the token, with the claim that
// the URL shows. It is empty without a token.
func (l Location) Reference() string {
	if l.Token == "" || l.Claim == "" {
		return l.Token
	}
	return l.Token + "=" + l.Claim
}

// Locate reads a permalink by the templates of the archives. It reports false
// for a URL that none of them makes. A template that shows a token comes before
// one that does not: from {sha1(message_id,listname)} no token can be computed.
func (p *Policy) Locate(rawURL string) (found Location, ok bool) {
	for i := range p.Archives {
		a := &p.Archives[i]
		values, err := a.URL.Match(rawURL)
		if err != nil {
			continue
		}
		l := Location{Archive: a, List: listOf(a, values), Claim: strings.ToLower(values["claim"])}
		if id := values["message_id"]; id != "" {
			l.MessageID = hashheader.Canonical(nil, id)
		}
		if l.Token = p.tokenOf(a, l.MessageID, values); l.Token != "" {
			return l, true
		}
		if !ok {
			found, ok = l, true
		}
	}
	return found, ok
}

// listOf returns the list that the values of a URL show, else the only one
// that the archive can mean.
func listOf(a *Archive, values map[string]string) string {
	list := values["list"]
	switch name, host := values["listname"], values["host"]; {
	case list != "":
	case name != "" && host != "":
		list = name + "@" + host
	case name != "":
		list = a.listNamed(name)
	case len(a.Lists) == 1 && !strings.ContainsAny(a.Lists[0], globs):
		list = a.Lists[0]
	case len(a.Lists) == 0:
		list = a.List
	}
	list, err := hashheader.CheckList(list)
	if err != nil {
		return ""
	}
	return list
}

// globs are the characters with a meaning in a pattern.
const globs = `*?[\`

// listNamed returns the list of this local part, where all of the archive's
// lists are on one host; else "".
func (a *Archive) listNamed(name string) string {
	host := ""
	for _, pattern := range append([]string{a.List}, a.Lists...) {
		_, h, _ := strings.Cut(pattern, "@")
		if pattern != "" && (h == "" || strings.ContainsAny(h, globs) || host != "" && !strings.EqualFold(h, host)) {
			return ""
		}
		host = cmp.Or(h, host)
	}
	if list := strings.ToLower(name + "@" + host); a.Holds(list) {
		return list
	}
	return ""
}

// tokenOf returns the token that the values of a URL show, as it was reserved.
func (p *Policy) tokenOf(a *Archive, id []byte, values map[string]string) string {
	algorithm := p.AlgorithmOf(a)
	for _, name := range []string{"token", algorithm.String(), "hash"} {
		token := strings.ToUpper(values[name])
		if _, _, err := hashheader.ParseToken(token); err == nil {
			return token
		}
	}
	if len(id) == 0 {
		return ""
	}
	token, _ := algorithm.Hash(id) // NewPolicy checked that it may be computed
	return token
}
