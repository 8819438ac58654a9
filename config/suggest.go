package config

import (
	"fmt"
	"reflect"
	"strings"
)

// unknown adds the problem of a key that the schema does not have, with the
// key that was likely meant: one spelt alike, or one of another table.
func (p *Problems) unknown(table, key string, t reflect.Type) {
	hint := "; the keys here are " + strings.Join(names(t), " ")
	if near := nearest(key, names(t)); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	} else if elsewhere := tablesWith(key); len(elsewhere) > 0 {
		hint = fmt.Sprintf("; it belongs into %s", strings.Join(elsewhere, " or "))
	}
	p.addf(join(table, key), "unknown key%s", hint)
}

// tablesWith returns the tables that have a key of this name.
func tablesWith(key string) (tables []string) {
	for _, k := range Keys() {
		if table, ok := strings.CutSuffix(k.Path, "."+key); ok {
			tables = append(tables, "["+table+"]")
		}
	}
	return tables
}

// nearest returns the candidate that a third of a word's letters, or fewer,
// tell from it; none if no candidate is as near.
func nearest(word string, candidates []string) (best string) {
	least := len(word)/3 + 1
	for _, c := range candidates {
		if d := distance(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

// distance is Levenshtein's, of words bounded to keep its cost so: the
// deletions, insertions and exchanges that turn a into b.
func distance(a, b string) int {
	const longest = 64
	if len(a) > longest {
		return longest
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
