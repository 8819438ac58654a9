// Package page makes the pages that people see of a registry: a check of a
// message, a search, the choice behind a permalink, the counts. It knows what
// they look like, and nothing of requests or reservations.
//
// Text from messages, archives and requests is shown by hashheader.Printable,
// so that it can neither hide nor reverse what a page says.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"net/url"
	"time"

	"permalink-milter/hashheader"
)

//go:embed templates static
var files embed.FS

// templates holds a template for each page, inside layout.html.
var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"path":   Path,
	"method": func(name string) string { return methodNames[name] },
	"date":   func(t time.Time) string { return t.Format("2 January 2006, 15:04 MST") },
	"show":   hashheader.Printable,
}).ParseFS(files, "templates/*.html"))

// methodNames holds what people call the check of a field that is missing.
var methodNames = map[string]string{hashheader.MethodMessageID: "Message-ID", hashheader.MethodHash: "Hash of the Message-ID",
	hashheader.MethodArchivedAt: hashheader.ArchivedAtField}

// Render returns a page. Root is the path before the links of a page, without
// a slash at its end.
func Render(root string, v View) ([]byte, error) {
	var page bytes.Buffer
	err := templates.ExecuteTemplate(&page, v.template(), struct {
		Root string
		Data View
	}{root, v})
	return page.Bytes(), err
}

// File returns a file that the pages load, and its ETag (RFC 9110, section
// 8.8.3). It reports false where there is none of this name.
func File(name string) (data []byte, tag string, ok bool) {
	data, err := files.ReadFile("static/" + name)
	if err != nil {
		return nil, "", false
	}
	sum := sha256.Sum256(data)
	return data, `"` + hex.EncodeToString(sum[:8]) + `"`, true
}

// Path joins segments behind a prefix, each escaped.
func Path(prefix string, segments ...string) string {
	for _, s := range segments {
		prefix += "/" + url.PathEscape(s)
	}
	return prefix
}
