package config

import (
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positions maps the path of each key, table and array element of a file to
// its position. Paths are milter.listen, milter.listen[0], archive[1],
// archive[1].url.
type positions map[string]unstable.Position

// find returns the position of a key, or of the innermost table around it that
// the file contains.
func (p positions) find(path string) unstable.Position {
	for path != "" {
		if at, ok := p[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return unstable.Position{}
}

// join appends a key to a path. It quotes a key that TOML does not allow bare.
func join(path, key string) string {
	bare := key != "" && strings.Trim(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
	if !bare {
		key = strconv.Quote(key)
	}
	if path == "" {
		return key
	}
	return path + "." + key
}

func element(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

// An indexer walks a valid TOML document and records positions.
type indexer struct {
	parser unstable.Parser
	found  positions
	tables map[string]int // number of elements so far of each array of tables
}

func index(data []byte) positions {
	x := indexer{found: make(positions), tables: make(map[string]int)}
	x.parser.Reset(data)
	table := ""
	for x.parser.NextExpression() {
		e := x.parser.Expression()
		switch e.Kind {
		case unstable.KeyValue:
			x.keyValue(table, e)
		case unstable.Table, unstable.ArrayTable:
			table = x.header(e)
		}
	}
	return x.found
}

// header records [a.b] or [[a.b]] and returns its path. A part that names an
// array of tables stands for the last element.
func (x *indexer) header(e *unstable.Node) string {
	path := ""
	for key := e.Key(); key.Next(); {
		path = join(path, string(key.Node().Data))
		if e.Kind == unstable.ArrayTable && key.IsLast() {
			x.tables[path]++
		}
		x.note(path, key.Node())
		if n := x.tables[path]; n > 0 {
			path = element(path, n-1)
			x.note(path, key.Node())
		}
	}
	return path
}

func (x *indexer) keyValue(path string, e *unstable.Node) {
	for key := e.Key(); key.Next(); {
		path = join(path, string(key.Node().Data))
		x.note(path, key.Node())
	}
	x.value(path, e.Value())
}

func (x *indexer) value(path string, v *unstable.Node) {
	switch v.Kind {
	case unstable.InlineTable:
		for child := v.Children(); child.Next(); {
			x.keyValue(path, child.Node())
		}
	case unstable.Array:
		i := 0
		for child := v.Children(); child.Next(); i++ {
			x.note(element(path, i), child.Node())
			x.value(element(path, i), child.Node())
		}
	}
}

// note records the first position of a path, so that a table has that of its
// own header, not of one inside it. The parser gives nested arrays none.
func (x *indexer) note(path string, n *unstable.Node) {
	if _, known := x.found[path]; !known && n.Raw.Length > 0 {
		x.found[path] = x.parser.Shape(n.Raw).Start
	}
}
