package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"permalink-milter/hashheader/golden"
	"permalink-milter/registry/httpapi"
)

// make sends a case's request and returns the last answer.
func (c apiCase) make(t *testing.T) (request call, answer *http.Response) {
	token, tokens := everything(t)
	request = call{c.op, httpapi.Options{Registry: prepared(t), Tokens: tokens}, token, 1}
	if c.change != nil {
		c.change(&request)
	}
	h := newHandler(t, request.options)
	fields := []string{"Body: " + request.body}
	if request.token != "" {
		fields = append(fields, "Authorization: Bearer "+request.token)
	}
	if request.contentType != "" {
		fields = append(fields, "Content-Type: "+request.contentType)
	}
	method, _, _ := strings.Cut(c.op.pattern, " ")
	for range request.times {
		answer = do(h, method, request.target, fields...)
	}
	return request, answer
}

// Every answer of the API, and the document that describes them: each status
// that the document lists is given by a case, each case is in the document,
// and the bodies are of its schemas.
func TestAPIAndItsDocument(t *testing.T) {
	doc := readDocument(t)
	var printed strings.Builder
	seen, told := make(map[string]bool), make(map[string]bool)
	for _, c := range apiCases(t) {
		t.Run(c.name, func(t *testing.T) {
			request, answer := c.make(t)
			body := text(answer)
			if answer.StatusCode != c.status {
				t.Fatalf("%d, want %d: %s", answer.StatusCode, c.status, body)
			}
			seen[fmt.Sprint(c.op.pattern, " ", c.status)] = true
			doc.check(t, c.op.pattern, request.body, c.change == nil, answer, body)
			if got := print(answer, body); !told[got] && c.op != openOp {
				told[got] = true
				fmt.Fprintf(&printed, "== %s\n%s\n", c.name, got)
			}
		})
	}
	if diff := cmp.Diff(doc.statuses(), slices.Sorted(maps.Keys(seen))); diff != "" {
		t.Errorf("document and cases differ (-document +cases):\n%s", diff)
	}
	golden.Equal(t, "testdata/api.golden", printed.String())
}

func print(answer *http.Response, body string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d\n", answer.StatusCode)
	for _, name := range []string{"Content-Type", "Location", "Retry-After", "WWW-Authenticate"} {
		if value := answer.Header.Get(name); value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String() + body
}

func TestDocumentHasEveryRoute(t *testing.T) {
	var want []string
	for path, methods := range readDocument(t).at("paths").(map[string]any) {
		for method := range methods.(map[string]any) {
			want = append(want, strings.ToUpper(method)+" /api/v1"+path)
		}
	}
	got := httpapi.Operations()
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("document and routes differ (-document +routes):\n%s", diff)
	}
}

// A document is the OpenAPI document as a client gets it.
type document map[string]any

func readDocument(t *testing.T) document {
	t.Helper()
	answer := do(newHandler(t, httpapi.Options{}), "GET", openOp.target)
	var doc document
	if err := json.NewDecoder(answer.Body).Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at returns what stands under keys, nil where there is nothing. References
// are followed.
func (d document) at(keys ...string) any {
	var node any = map[string]any(d)
	for _, key := range keys {
		object, _ := node.(map[string]any)
		node = d.follow(object[key])
	}
	return node
}

func (d document) follow(node any) any {
	object, _ := node.(map[string]any)
	if ref, ok := object["$ref"].(string); ok {
		return d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
	}
	return node
}

func (d document) operation(pattern string, keys ...string) any {
	method, path, _ := strings.Cut(pattern, " ")
	return d.at(append([]string{"paths", strings.TrimPrefix(path, "/api/v1"), strings.ToLower(method)}, keys...)...)
}

// statuses lists "METHOD /path status" of all that is documented.
func (d document) statuses() (out []string) {
	for path, methods := range d.at("paths").(map[string]any) {
		for method := range methods.(map[string]any) {
			pattern := strings.ToUpper(method) + " /api/v1" + path
			for status := range d.operation(pattern, "responses").(map[string]any) {
				out = append(out, pattern+" "+status)
			}
		}
	}
	slices.Sort(out)
	return out
}

// check compares an answer with the document, and the body of a plain request
// too: that has every field.
func (d document) check(t *testing.T, pattern, sent string, plain bool, answer *http.Response, body string) {
	t.Helper()
	contentType := answer.Header.Get("Content-Type")
	content := d.operation(pattern, "responses", fmt.Sprint(answer.StatusCode), "content")
	schema := d.operation(pattern, "responses", fmt.Sprint(answer.StatusCode), "content", contentType, "schema")
	if (schema == nil) != (body == "") || (content == nil) != (body == "") {
		t.Errorf("%s with body %q is not documented", contentType, body)
	}
	for value := range values(t, body) {
		if err := d.fits(value, schema, false); err != nil {
			t.Errorf("%v: %s", err, body)
		}
	}
	request := d.operation(pattern, "requestBody", "content", "application/json", "schema")
	if plain && request != nil {
		for value := range values(t, sent) {
			if err := d.fits(value, request, true); err != nil {
				t.Errorf("request: %v: %s", err, sent)
			}
		}
	}
}

// values yields the JSON values of a body.
func values(t *testing.T, body string) func(func(any) bool) {
	return func(yield func(any) bool) {
		for dec := json.NewDecoder(bytes.NewReader([]byte(body))); dec.More(); {
			var value any
			if err := dec.Decode(&value); err != nil {
				t.Fatalf("%v: %s", err, body)
			}
			if !yield(value) {
				return
			}
		}
	}
}

// fits returns why a value does not fit a schema: by types, and by the names of
// fields. All asks for every property, not the required ones alone.
func (d document) fits(value, schema any, all bool) error {
	s, _ := d.follow(schema).(map[string]any)
	if any, ok := s["anyOf"].([]any); ok {
		return d.fitsOne(value, any)
	}
	want := map[string]string{"string": "string", "integer": "float64", "boolean": "bool", "object": "map[string]interface {}", "array": "[]interface {}"}
	kind, _ := s["type"].(string)
	if got := fmt.Sprintf("%T", value); got != want[kind] {
		return fmt.Errorf("%s, want %s", got, kind)
	}
	if list, ok := value.([]any); ok {
		for _, element := range list {
			if err := d.fits(element, s["items"], all); err != nil {
				return err
			}
		}
	}
	if object, ok := value.(map[string]any); ok && s["properties"] != nil {
		return d.fitsObject(object, s, all)
	}
	if names, ok := s["enum"].([]any); ok && !slices.Contains(names, value) {
		return fmt.Errorf("%v is none of %v", value, names)
	}
	return nil
}

func (d document) fitsOne(value any, schemas []any) (err error) {
	for _, s := range schemas {
		if err = d.fits(value, s, false); err == nil {
			return nil
		}
	}
	return err
}

func (d document) fitsObject(object, schema map[string]any, all bool) error {
	properties := schema["properties"].(map[string]any)
	for name := range properties {
		required, _ := schema["required"].([]any)
		if _, ok := object[name]; !ok && (all || slices.Contains(required, any(name))) {
			return fmt.Errorf("%s is missing", name)
		}
	}
	for name, value := range object {
		if properties[name] == nil {
			return fmt.Errorf("%s is not documented", name)
		}
		if err := d.fits(value, properties[name], all); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
