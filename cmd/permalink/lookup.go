package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"permalink-milter/config"
	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

const lookupLong = `Print who holds a permalink. What is looked up is a token (HASH-2), a hash (all
its tokens are printed), a Message-ID, or a permalink's URL. A URL is taken apart
by the templates of --config, or else a token is looked for among its parts.

A line is LIST TOKEN STATE SINCE URL SUBJECT, "-" for what is not known. With
--json, one object a line: list, token, identity, state (reserved or archived),
since, expires, url, subject; 'permalink registry import' restores it.

A registry file that a running permalink-milter holds cannot be read meanwhile:
ask it through its API, with --api.

With --conflicts, messages are listed that were stamped while the registry did
not answer, and whose permalink it then gave to another: a line is LIST, the
STAMPED token, the token ASSIGNED instead, IDENTITY, and the time.

Exit codes: 0 found, 1 something is not reserved, 2 usage, 75 the registry did
not answer, 78 configuration.`

const lookupExample = `  permalink lookup --registry bolt:permalinks.db VP3JZR3MSKY5TQSMS5FHURHQXI
  permalink lookup --config /etc/permalink-milter/permalink-milter.toml --list devel@lists.example.org '<abc@example.org>'
  permalink lookup --api https://permalink.example.org --token-file token --list devel@lists.example.org VP3JZR3MSKY5TQSMS5FHURHQXI-2
  permalink lookup --config /etc/permalink-milter/permalink-milter.toml --conflicts
  permalink lookup --registry bolt:permalinks.db --list devel@lists.example.org --all`

// lookupOptions are the flags of lookup.
type lookupOptions struct {
	registry             registryFlags
	config, list         string
	all, json, conflicts bool
}

func newLookup(std stdio) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "lookup [TOKEN|HASH|MESSAGE-ID|URL]...",
		Short:   "Look permalinks up in a registry",
		Long:    lookupLong,
		Example: lookupExample,
	}
	var o lookupOptions
	o.registry.add(cmd)
	cmd.Flags().StringVar(&o.config, "config", "", "permalink-milter's configuration `FILE`: templates, the registry, the journal")
	cmd.Flags().StringVar(&o.list, "list", "", "look at this list's `ADDRESS` alone")
	cmd.Flags().BoolVar(&o.all, "all", false, "print all reservations")
	cmd.Flags().BoolVar(&o.conflicts, "conflicts", false, "print the messages that were stamped with a permalink that another one holds")
	cmd.Flags().BoolVar(&o.json, "json", false, "print one JSON object a line")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), args, std) }
	return cmd
}

func (o *lookupOptions) run(ctx context.Context, args []string, std stdio) error {
	switch {
	case o.conflicts && (o.all || len(args) > 0 || o.config == ""):
		return errors.New("--conflicts goes with --config alone, and perhaps --list")
	case !o.conflicts && o.all == (len(args) > 0):
		return errors.New("write what to look up, or --all")
	}
	if _, err := hashheader.CheckList(o.list); err != nil && o.list != "" {
		return fmt.Errorf("--list: %w", err)
	}
	if o.conflicts {
		return o.printConflicts(std)
	}
	reg, c, err := o.registry.openOr(o.config, false)
	if err != nil {
		return err
	}
	defer reg.Close()
	if o.all {
		_, err := o.print(std, reg.List(ctx, o.list))
		return err
	}
	missing := false
	for _, arg := range args {
		n, err := o.print(std, o.find(ctx, reg, parseQuery(arg, c)))
		if err != nil {
			return err
		}
		if n == 0 {
			fmt.Fprintf(std.err, "permalink lookup: %s: nothing is reserved\n", printable(arg))
			missing = true
		}
	}
	if missing {
		return &exitError{exitFailed, nil}
	}
	return nil
}

// A query is what an argument means: hashes, and perhaps one token of theirs
// and the list.
type query struct {
	hashes  []string
	ordinal int // 0: all
	list    string
}

// parseQuery understands an argument. One that is nothing else is a
// Message-ID.
func parseQuery(arg string, c *config.Config) query {
	if strings.Contains(arg, "://") {
		return parseURL(arg, c)
	}
	if q, ok := parseToken(arg); ok {
		return q
	}
	return idQuery(arg)
}

// parseToken takes a bare hash for all its tokens.
func parseToken(text string) (query, bool) {
	hash, ordinal, err := hashheader.ParseToken(text)
	if ordinal == 1 {
		ordinal = 0
	}
	return query{hashes: []string{hash}, ordinal: ordinal}, err == nil
}

// idQuery asks for a Message-ID under every algorithm: which one named it is
// the daemon's configuration.
func idQuery(id string) (q query) {
	canonical := hashheader.Canonical(nil, id)
	for _, a := range hashheader.Algorithms {
		if hash, err := a.Hash(canonical); err == nil {
			q.hashes = append(q.hashes, hash)
		}
	}
	return q
}

// parseURL trusts the templates first: a token may be part of a longer
// segment there.
func parseURL(text string, c *config.Config) query {
	for _, a := range c.Archives {
		template, err := hashheader.ParseTemplate(a.URL)
		if err != nil {
			continue
		}
		if values, err := template.Match(text); err == nil {
			return templateQuery(values)
		}
	}
	return partsQuery(text)
}

// templateQuery is the query of a permalink's variable parts.
func templateQuery(values map[string]string) query {
	var q query
	for _, name := range []string{"token", "hash", "md5", "sha1", "sha256"} {
		if parsed, ok := parseToken(values[name]); ok {
			q = parsed
			break
		}
	}
	if id := values["message_id"]; q.hashes == nil && id != "" {
		q = idQuery(id)
	}
	q.list = values["list"]
	return q
}

// partsQuery looks for a token among the segments of a URL, from the last,
// and for a list.
func partsQuery(text string) (q query) {
	u, err := url.Parse(text)
	if err != nil {
		return q
	}
	segments := strings.Split(u.Path, "/")
	slices.Reverse(segments)
	list := ""
	for _, s := range segments {
		if parsed, ok := parseToken(s); ok && q.hashes == nil {
			q = parsed
		}
		if name, err := hashheader.CheckList(s); err == nil && list == "" {
			list = name
		}
	}
	q.list = list
	return q
}

// find yields the reservations that a query means. Without a list, all lists
// are gone through.
func (o *lookupOptions) find(ctx context.Context, reg registry.Registry, q query) iter.Seq2[registry.Reservation, error] {
	list := o.list
	if list == "" {
		list = q.list
	}
	return func(yield func(registry.Reservation, error) bool) {
		for r, err := range o.held(ctx, reg, q.hashes, list) {
			if err == nil && q.ordinal > 0 && r.Ordinal != q.ordinal {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// held yields the reservations of hashes on a list, or on all for "".
func (o *lookupOptions) held(ctx context.Context, reg registry.Registry, hashes []string, list string) iter.Seq2[registry.Reservation, error] {
	return func(yield func(registry.Reservation, error) bool) {
		if list == "" {
			for r, err := range reg.List(ctx, "") {
				if (err != nil || slices.Contains(hashes, r.Hash)) && !yield(r, err) {
					return
				}
			}
			return
		}
		for _, hash := range hashes {
			held, err := reg.LookupHash(ctx, list, hash)
			if err != nil {
				yield(registry.Reservation{}, err)
				return
			}
			for _, r := range held {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// print writes reservations and returns how many there were.
func (o *lookupOptions) print(std stdio, reservations iter.Seq2[registry.Reservation, error]) (n int, err error) {
	e := json.NewEncoder(std.out)
	e.SetEscapeHTML(false)
	for r, err := range reservations {
		if err != nil {
			return n, &exitError{exitTemporary, err}
		}
		n++
		if o.json {
			err = e.Encode(r.JSON())
		} else {
			_, err = fmt.Fprintln(std.out, line(r))
		}
		if err != nil {
			return n, &exitError{exitTemporary, err}
		}
	}
	return n, nil
}

// line is a reservation for people; fields of text for awk.
func line(r registry.Reservation) string {
	parts := []string{r.List, r.Token(), r.State.String(), r.Since.Format(time.RFC3339), r.URL, printable(r.Subject)}
	for i, part := range parts {
		if part == "" {
			parts[i] = "-"
		}
	}
	return strings.Join(parts, " ")
}
