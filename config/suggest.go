package config

import (
	"fmt"
	"reflect"
	"strings"
)

// unknown adds a problem for a key that the schema lacks. The hint names the
// key that was probably meant: a similar one, or the same one in another table.
func (p *Problems) unknown(table, key string, t reflect.Type) {
	hint := "; the keys here are " + strings.Join(names(t), " ")
	if near := nearest(key, names(t)); near != "" {
		hint = fmt.Sprintf("; did you mean %s?", near)
	} else if elsewhere := tablesWith(key); len(elsewhere) > 0 {
		hint = fmt.Sprintf("; it belongs in %s", strings.Join(elsewhere, " or "))
	}
	p.addf(join(table, key), "unknown key%s", hint)
}

// tablesWith returns the tables that contain a key of this name.
func tablesWith(key string) (tables []string) {
	for _, k := range Keys() {
		if table, ok := strings.CutSuffix(k.Path, "."+key); ok {
			tables = append(tables, "["+table+"]")
		}
	}
	return tables
}

// longest bounds the length of compared words. All keys are shorter.
const longest = 32

// nearest returns the candidate that differs from a word in the fewest letters.
// It returns "" if that is more than a third of the shorter word.
func nearest(word string, candidates []string) (best string) {
	if len(word) > longest {
		return ""
	}
	least := longest
	for _, c := range candidates {
		if d := distance(word, c); d < least && d <= min(len(word), len(c))/3 {
			best, least = c, d
		}
	}
	return best
}

// distance returns the Levenshtein distance: the fewest deletions, insertions
// and substitutions that turn a into b.
func distance(a, b string) int {
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
