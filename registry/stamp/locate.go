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
	Token     string
	MessageID []byte // nil where the URL does not hold it
}

// Locate reads a permalink by the templates of the archives. It reports false
// for a URL that none of them makes.
func (p *Policy) Locate(rawURL string) (Location, bool) {
	for i := range p.Archives {
		a := &p.Archives[i]
		values, err := a.URL.Match(rawURL)
		if err != nil {
			continue
		}
		l := Location{Archive: a, List: listOf(a, values)}
		if id := values["message_id"]; id != "" {
			l.MessageID = hashheader.Canonical(nil, id)
		}
		if l.Token = p.tokenOf(a, l.MessageID, values); l.Token != "" {
			return l, true
		}
	}
	return Location{}, false
}

// listOf returns the list that the values of a URL show, else the only one
// that the archive can mean.
func listOf(a *Archive, values map[string]string) string {
	list := values["list"]
	if host := cmp.Or(values["host"], a.host()); list == "" && values["listname"] != "" && host != "" {
		list = values["listname"] + "@" + host
	}
	if list == "" && len(a.Lists) == 1 && !strings.ContainsAny(a.Lists[0], glob) {
		list = a.Lists[0]
	}
	if list == "" && len(a.Lists) == 0 {
		list = a.List
	}
	list, err := hashheader.CheckList(list)
	if err != nil {
		return ""
	}
	return list
}

// glob are the characters with a meaning in patterns (path.Match).
const glob = `*?[\`

// host returns the host of all lists of the archive, "" if they may differ in
// it.
func (a *Archive) host() (host string) {
	for i, pattern := range append([]string{a.List}, a.Lists...) {
		_, of, _ := strings.Cut(pattern, "@")
		switch {
		case i == 0 && pattern == "":
		case of == "" || strings.ContainsAny(of, glob) || host != "" && !strings.EqualFold(of, host):
			return ""
		default:
			host = of
		}
	}
	return host
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
