package httpapi

import (
	"fmt"
	"net/http"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry/stamp"
)

// CheckArchive returns an error for an archive whose permalinks lie under the
// base URL of a resolver that cannot serve them.
func CheckArchive(base string, p *stamp.Policy, a *stamp.Archive) error {
	base = strings.TrimSuffix(base, "/")
	h := new(Handler)
	list := sampleList(a)
	token, err := p.AlgorithmOf(a).Hash([]byte("sample@example.org"))
	if err != nil || a.URL.IsZero() || list == "" || base == "" || h.setBase(base) != nil {
		return nil // not ours to judge
	}
	sample, err := a.URL.Expand(hashheader.Permalink{List: list, ListID: stamp.ListID(nil, list), Token: token,
		MessageID: []byte("sample@example.org"), Algorithm: p.Algorithm})
	if err != nil || !h.ours(sample) {
		return nil
	}
	path, under := strings.CutPrefix(sample, base)
	r, err := http.NewRequest(http.MethodGet, path, nil)
	if !under || err != nil {
		return fmt.Errorf("%q lies under http.base_url: begin it as that does, with %s", a.URL, base)
	}
	h.addRoutes()
	if _, pattern := h.mux.Handler(r); pattern != "" && pattern != resolverRoute {
		return fmt.Errorf("%q lies under http.base_url, where another page has its place: begin its path with a segment such as /p/", a.URL)
	}
	if l, ok := p.Locate(base + r.URL.EscapedPath()); !ok || l.List != list || l.Token != token {
		return fmt.Errorf("%q lies under http.base_url, and the resolver cannot tell list and token from it: write {list} and {token} into its path", a.URL)
	}
	return nil
}

// sampleList returns a list that the archive may hold.
func sampleList(a *stamp.Archive) string {
	pattern := a.List
	if len(a.Lists) > 0 {
		pattern = a.Lists[0]
	}
	list, err := hashheader.CheckList(strings.NewReplacer("*", "sample", "?", "x").Replace(pattern))
	if err != nil {
		return ""
	}
	return list
}
