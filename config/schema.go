package config

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// A Key is one key of the schema.
type Key struct {
	Path    string // table and name, as milter.listen
	Default string // as the file spells it, or in words
	Doc     string // one or two sentences
	Reload  bool   // SIGHUP applies a new value
}

// Keys returns the keys of the schema, in the order of the file.
func Keys() (keys []Key) {
	c := Default()
	c.Archives, c.LMTP.Domains = make([]Archive, 1), make([]Domain, 1)
	c.complete()
	walk("", reflect.ValueOf(c).Elem(), func(path string, f reflect.StructField, v reflect.Value) {
		keys = append(keys, Key{Path: strings.ReplaceAll(path, "[0]", ""), Default: cmp.Or(f.Tag.Get("default"), literal(v)),
			Doc: f.Tag.Get("comment"), Reload: f.Tag.Get("reload") == "yes"})
	})
	return keys
}

// walk calls visit for each key of a table and of the tables in it.
func walk(path string, table reflect.Value, visit func(path string, f reflect.StructField, v reflect.Value)) {
	for i := range table.NumField() {
		f, v := table.Type().Field(i), table.Field(i)
		name := join(path, f.Tag.Get("toml"))
		switch {
		case f.Type.Kind() == reflect.Struct:
			walk(name, v, visit)
		case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct:
			for j := range v.Len() {
				walk(element(name, j), v.Index(j), visit)
			}
		default:
			visit(name, f, v)
		}
	}
}

// literal returns a value as the file spells it.
func literal(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Int:
		return fmt.Sprint(v.Int())
	case reflect.Slice:
		var items []string
		for i := range v.Len() {
			items = append(items, literal(v.Index(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprintf("%q", fmt.Sprint(v.Interface()))
}

// Restart returns the keys whose values differ between two configurations and
// which only a restart of the daemon changes.
func Restart(from, to *Config) (keys []string) {
	values := func(c *Config) map[string]string {
		m := make(map[string]string)
		walk("", reflect.ValueOf(c).Elem(), func(path string, f reflect.StructField, v reflect.Value) {
			if f.Tag.Get("reload") != "yes" {
				m[path] = literal(v)
			}
		})
		return m
	}
	old, next := values(from), values(to)
	for _, c := range []*Config{from, to} {
		walk("", reflect.ValueOf(c).Elem(), func(path string, _ reflect.StructField, _ reflect.Value) {
			if old[path] != next[path] {
				keys = append(keys, path)
				delete(old, path)
				delete(next, path)
			}
		})
	}
	return keys
}

// Write writes a configuration as a file that Load reads: each key with its
// comment. Passwords are masked.
func Write(w io.Writer, c *Config) error {
	masked := *c
	masked.Registry.URL = MaskURL(c.Registry.URL)
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(&masked); err != nil {
		return fmt.Errorf("write configuration: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}
