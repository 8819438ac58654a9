package hosts

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// Table lays rows out in columns, the first row being the head.
func Table(rows [][]string) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	return text.String()
}
