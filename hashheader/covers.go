package hashheader

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A place is where a URL points, in a form in which the spellings of one place
// are equal (RFC 3986, section 6). The host is as it is looked up, in lower case
// and without a final dot, a default port is empty, and path and query are
// decoded, without dot segments and empty segments. The scheme is left out, since
// http and https lead to the same archive, and so is user information.
type place struct{ host, port, path string }

func newPlace(u *url.URL) place {
	host := strings.TrimSuffix(foldHost(u.Hostname()), ".")
	port := strings.TrimLeft(u.Port(), "0")
	if port == "80" || port == "443" {
		port = ""
	}
	path := cleanPath(u.Path)
	if u.RawQuery != "" || u.ForceQuery {
		query, err := url.QueryUnescape(u.RawQuery)
		if err != nil {
			query = u.RawQuery
		}
		path += "?" + query
	}
	return place{host, port, path}
}

// foldHost returns a text in which hosts are as browsers look them up (UTS #46):
// in lower case, with the ASCII form of characters that have one, such as wide
// letters and the ideographic full stop, and without those that nobody sees.
func foldHost(text string) string {
	if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		text = strings.Map(visible, norm.NFKC.String(text))
	}
	return strings.ToLower(text)
}

func visible(r rune) rune {
	switch {
	case r == '\u3002': // what the half-width one becomes, too
		return '.'
	case unicode.In(r, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
		return -1
	}
	return r
}

// cleanPath resolves dot segments (RFC 3986, section 5.2.4) and drops empty
// segments, as web servers do. It keeps a slash at the end.
func cleanPath(path string) string {
	var kept []string
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case segment == "..":
			kept = kept[:max(len(kept)-1, 0)]
		case segment != "" && segment != ".":
			kept = append(kept, segment)
			continue
		}
		if last && len(kept) > 0 {
			kept = append(kept, "")
		}
	}
	return "/" + strings.Join(kept, "/")
}

// Covers reports whether the value of an Archived-At field lies under the
// template: whether its URL, however it is spelled, begins with the template's
// text before the first placeholder. A value that is not one URL in angle
// brackets lies under the template if it holds its host anywhere.
func (t Template) Covers(value string) bool {
	rawURL, err := ParseArchivedAt(value)
	if err == nil {
		return t.coversURL(rawURL)
	}
	text := Stripped(value)
	if decoded, err := url.PathUnescape(text); err == nil {
		text = decoded
	}
	return strings.Contains(foldHost(text), t.base.host)
}

// coversURL is Covers for a URL.
func (t Template) coversURL(rawURL string) bool {
	if strings.HasPrefix(rawURL, t.Prefix()) {
		return true
	}
	u, err := url.Parse(rawURL)
	if err == nil && u.Scheme != "http" && u.Scheme != "https" {
		return false // Parse returns schemes in lower case
	}
	if err != nil || u.Host == "" {
		return strings.Contains(foldHost(rawURL), t.base.host)
	}
	p := newPlace(u)
	return p.host == t.base.host && p.port == t.base.port && strings.HasPrefix(p.path, t.base.path)
}
