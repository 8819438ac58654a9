package config

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/pelletier/go-toml/v2"
)

// Load reads a configuration file over the defaults and checks it. Without a
// name it returns the defaults, checked. The Config is nil if the file cannot be
// read or is not TOML.
func Load(name string) (*Config, *Problems) {
	if name == "" {
		c, p := Default(), &Problems{file: "built-in defaults"}
		c.check(p)
		return c, p
	}
	data, err := os.ReadFile(name)
	if err != nil {
		p := &Problems{file: name}
		p.Add("", fmt.Errorf("read configuration: %w", errors.Unwrap(err)))
		return nil, p
	}
	return Parse(name, data)
}

// Parse is Load for the contents of a file, which messages call name. A wrong
// value leaves its key at the default.
func Parse(name string, data []byte) (*Config, *Problems) {
	p := &Problems{file: name}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	var tree map[string]any
	err := toml.Unmarshal(data, &tree)
	var bad *toml.DecodeError
	switch {
	case errors.As(err, &bad):
		line, column := bad.Position()
		p.all = append(p.all, Problem{Line: line, Column: column, Err: err})
		return nil, p
	case err != nil:
		p.Add("", err)
		return nil, p
	}
	p.positions = index(data)
	c := Default()
	p.table("", reflect.ValueOf(c).Elem(), tree)
	c.placeFiles(filepath.Dir(name))
	c.check(p)
	return c, p
}

// placeFiles lets the relative paths of files begin in the directory of the
// configuration file, wherever the program was started.
func (c *Config) placeFiles(dir string) {
	walk("", reflect.ValueOf(c).Elem(), func(_ string, f reflect.StructField, v reflect.Value) {
		if f.Tag.Get("path") == "yes" && v.String() != "" && !filepath.IsAbs(v.String()) {
			v.SetString(filepath.Join(dir, v.String()))
		}
	})
}

// Check completes and checks a configuration that was not read from a file.
func (c *Config) Check() *Problems {
	p := new(Problems)
	c.check(p)
	return p
}

// table decodes a table of the file into a struct.
func (p *Problems) table(path string, to reflect.Value, from map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		i := slices.Index(names(to.Type()), key)
		if i < 0 {
			p.unknown(path, key, to.Type())
			continue
		}
		p.value(join(path, key), to.Field(i), from[key])
	}
}

// names returns the keys of a table.
func names(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("toml"))
	}
	return keys
}

// value decodes one value of the file.
func (p *Problems) value(path string, to reflect.Value, from any) {
	if text, ok := to.Addr().Interface().(encoding.TextUnmarshaler); ok {
		p.text(path, text, to.Type(), from)
		return
	}
	switch v := from.(type) {
	case map[string]any:
		if to.Kind() == reflect.Struct {
			p.table(path, to, v)
			return
		}
	case []any:
		if to.Kind() == reflect.Slice {
			p.list(path, to, v)
			return
		}
	case int64:
		if to.Kind() == reflect.Int && !to.OverflowInt(v) {
			to.SetInt(v)
			return
		}
	case string:
		if to.Kind() == reflect.String {
			to.SetString(v)
			return
		}
	}
	p.addf(path, "%s: write %s", describe(from), wanted(to.Type()))
}

// text decodes a value with a syntax of its own. The file has it as a string,
// or as a number if it is a size in bytes.
func (p *Problems) text(path string, to encoding.TextUnmarshaler, t reflect.Type, from any) {
	text, ok := from.(string)
	if n, number := from.(int64); number && t == reflect.TypeFor[Size]() {
		text, ok = fmt.Sprint(n), true
	}
	if !ok {
		p.addf(path, "%s: write %s", describe(from), wanted(t))
		return
	}
	p.Add(path, to.UnmarshalText([]byte(text)))
}

// list decodes an array, which replaces the default.
func (p *Problems) list(path string, to reflect.Value, from []any) {
	to.Set(reflect.MakeSlice(to.Type(), len(from), len(from)))
	for i, v := range from {
		p.value(element(path, i), to.Index(i), v)
	}
}

// describe names a value of the wrong type.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("%.80q is a string", v)
	case int64, float64:
		return fmt.Sprintf("%v is a number", v)
	case bool:
		return fmt.Sprintf("%v is a boolean", v)
	case []any:
		return "this is an array"
	case map[string]any:
		return "this is a table"
	}
	return fmt.Sprintf("%v is a date or time", v)
}

// wanted names the right type as the file spells it.
func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return `a duration in quotes, as "500ms"`
	case t == reflect.TypeFor[Size]():
		return `a size in quotes, as "1MiB"`
	case t.Kind() == reflect.Struct:
		return "a table"
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "an array of tables, each headed by [[…]]"
	case t.Kind() == reflect.Slice:
		return `an array of strings, as ["a", "b"]`
	case t.Kind() == reflect.Int:
		return "a whole number without quotes"
	}
	return "a string in quotes"
}
