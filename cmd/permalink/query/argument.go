package query

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"strings"

	"permalink-milter/hashheader/mailbox"
	"permalink-milter/registry/stamp"
)

// OfArgument yields what an argument means: one query, or one for each message of
// a file. The file - is stdin. A list that is not empty replaces the one that the
// argument names.
func OfArgument(ctx context.Context, arg, list string, p *stamp.Policy, stdin io.Reader) iter.Seq2[Query, error] {
	return func(yield func(Query, error) bool) {
		q := Parse(arg, p)
		info, err := os.Stat(arg)
		isFile := err == nil && info.Mode().IsRegular() && !strings.Contains(arg, "://")
		if errors.Is(err, fs.ErrNotExist) && q.Kind == messageID && !strings.Contains(arg, "@") {
			q.Kind += ", since there is no file of this name"
		}
		if !isFile && arg != "-" {
			yield(q.on(list), nil)
			return
		}
		source := mailbox.Options{Stdin: stdin, Wants: func(name []byte) bool { return p.Wants(string(name)) }}
		for m := range mailbox.Map(ctx, []string{arg}, source, func(m *mailbox.Message) mailbox.Message { return *m }) {
			q, err := ofMessage(m.Header, p)
			if !m.Whole() {
				err = m.Err
			}
			if !yield(q.on(list), err) {
				return
			}
		}
	}
}

// on returns the query on a list, or as it is where the list is empty.
func (q Query) on(list string) Query {
	if list != "" {
		q.List = list
	}
	return q
}
