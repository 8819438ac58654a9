package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A table is one comparison.
type table struct {
	title string
	notes []string
	head  []string
	rows  [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// compare measures each filter in turn, round after round, and adds a row for
// each: median, minimum, maximum, and the median of the ratios to the first
// filter, round by round.
func (t *table) compare(filters []filter, rounds int, label []string, measure func(filter) float64) {
	figures := make([][]float64, len(filters))
	for range rounds {
		for i, f := range filters {
			figures[i] = append(figures[i], measure(f))
		}
	}
	for i, f := range filters {
		var ratios []float64
		for round, v := range figures[i] {
			ratios = append(ratios, v/figures[0][round])
		}
		t.add(append(slices.Clone(label), f.name, number(median(figures[i])), number(slices.Min(figures[i])),
			number(slices.Max(figures[i])), fmt.Sprintf("%.2f", median(ratios)))...)
	}
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// write prints the table in Markdown, its columns aligned.
func (t table) write(w io.Writer) {
	fmt.Fprintf(w, "\n## %s\n\n", t.title)
	width := make([]int, len(t.head))
	for _, row := range append([][]string{t.head}, t.rows...) {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	line := func(row []string) {
		for i, cell := range row {
			fmt.Fprintf(w, "| %s%s ", cell, strings.Repeat(" ", width[i]-len([]rune(cell))))
		}
		fmt.Fprintln(w, "|")
	}
	line(t.head)
	var rule []string
	for _, n := range width {
		rule = append(rule, strings.Repeat("-", n))
	}
	line(rule)
	for _, row := range t.rows {
		line(row)
	}
	for _, note := range t.notes {
		fmt.Fprintf(w, "\n%s\n", note)
	}
}
