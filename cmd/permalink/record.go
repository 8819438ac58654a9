package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

// A record is a reservation as lookup --json prints it.
type record struct {
	List     string     `json:"list"`
	Token    string     `json:"token"`
	Identity string     `json:"identity"`
	State    string     `json:"state"`
	Since    time.Time  `json:"since"`
	Expires  *time.Time `json:"expires,omitempty"`
	URL      string     `json:"url,omitempty"`
	Subject  string     `json:"subject,omitempty"`
}

// newRecord leaves out what a zero value means: no expiry.
func newRecord(r registry.Reservation) record {
	rec := record{List: r.List, Token: r.Token(), Identity: r.Identity.String(), State: r.State.String(), Since: r.Since, URL: r.URL, Subject: r.Subject}
	if !r.Expires.IsZero() {
		rec.Expires = &r.Expires
	}
	return rec
}

// maxRecord bounds a line of JSON.
const maxRecord = 64 << 10

// records reserves what lookup --json printed.
func (im *importer) records(ctx context.Context, inputs []string) error {
	var err error
	for _, input := range inputs {
		if err = im.recordFile(ctx, input); err != nil {
			break
		}
	}
	return im.finish(ctx, err)
}

// recordFile's error is one that ends the import.
func (im *importer) recordFile(ctx context.Context, input string) error {
	in := im.in
	if input != "-" {
		f, err := os.Open(input)
		if err != nil {
			im.report(&candidate{where: input, err: reason(err)})
			return nil
		}
		defer f.Close()
		in = f
	}
	return im.recordLines(ctx, input, in)
}

// recordLines reserves line by line. Of one hash, lines must keep their order.
func (im *importer) recordLines(ctx context.Context, name string, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxRecord)
	n := 0
	for lines.Scan() && ctx.Err() == nil {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		c := &candidate{where: fmt.Sprintf("%s:%d", name, n)}
		switch ours := im.restore(ctx, c, lines.Bytes()); {
		case errors.Is(c.err, registry.ErrUnavailable):
			return c.err
		case ours || c.err != nil:
			im.report(c)
		}
	}
	if err := lines.Err(); err != nil {
		im.report(&candidate{where: fmt.Sprintf("%s:%d", name, n+1), err: err})
	}
	return nil
}

// restore reserves, and confirms where it was archived, one record. It returns
// false for one of another list than --list.
func (im *importer) restore(ctx context.Context, c *candidate, line []byte) bool {
	var rec record
	if c.err = json.Unmarshal(line, &rec); c.err != nil {
		return true
	}
	if im.list != "" && !strings.EqualFold(rec.List, im.list) {
		return false
	}
	if c.request, c.err = rec.request(); c.err != nil {
		return true
	}
	c.id = rec.Token
	if c.result, c.err = reserveWithin(ctx, im.registry, *c.request); c.err != nil {
		return true
	}
	if token := c.result.Token(); token != rec.Token {
		c.err = fmt.Errorf("%s on %s could not be kept: the message now holds %s", rec.Token, rec.List, token)
		return true
	}
	if rec.State == registry.Archived.String() {
		_, c.err = im.registry.Confirm(ctx, registry.Confirmation{List: rec.List, Token: rec.Token, Identity: c.request.Identity, URL: rec.URL, Subject: rec.Subject})
	}
	return true
}

// request is what was asked for when the record was made.
func (r record) request() (*registry.Request, error) {
	id, err := hashheader.ParseIdentity(r.Identity)
	if err != nil {
		return nil, err
	}
	hash, _, err := hashheader.ParseToken(r.Token)
	return &registry.Request{List: r.List, Hash: hash, Identity: id}, err
}
