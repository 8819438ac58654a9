package redisreg

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
)

const (
	// scanBuckets is how many buckets are read in one round trip.
	scanBuckets = 512
	// scanCount is the COUNT of HSCAN: about how many fields of a large bucket
	// come at once.
	scanCount = 1000
	// scanTimeout bounds a round trip of a scan.
	scanTimeout = 10 * time.Second
	// longestScanned bounds the values in the reply to a scan, and the fields. It
	// has room for a slot with the longest URL and subject, and so for nearly every
	// entry that there is.
	longestScanned = 4 << 10
)

// scanScript is HSCAN without the values that are longer than ARGV[4], in whose
// place is nil, and with the front of longer fields, which are none of ours: a
// thousand of either that come at once could fill the memory of the daemon.
const scanScript = `local page = redis.call('HSCAN', KEYS[1], ARGV[1], 'MATCH', ARGV[2], 'COUNT', ARGV[3])
local pairs, longest = page[2], tonumber(ARGV[4])
for i = 1, #pairs, 2 do
	if #pairs[i] > longest then pairs[i] = pairs[i]:sub(1, longest) end
	if #pairs[i + 1] > longest then pairs[i + 1] = false end
end
return page`

var scan = newScript(scanScript)

// globs escapes the characters that HSCAN treats as a pattern.
var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// Scan implements registry.Store. It yields the records in the order of the
// buckets, each that lasts as long as the scan exactly once. It reads each
// bucket by its name with HSCAN, because SCAN over the keys would miss those
// that a resharding moves meanwhile and would visit the keys of other programs.
func (s *Store) Scan(ctx context.Context, list string) iter.Seq2[registry.Record, error] {
	match := "*"
	if list != "" {
		match = globs.Replace(list) + "\x00*"
	}
	return func(yield func(registry.Record, error) bool) {
		for from := 0; from < buckets; from += scanBuckets {
			pages, err := s.scanStep(ctx, from, match)
			if err != nil {
				yield(registry.Record{}, err)
				return
			}
			if !s.yieldPages(ctx, pages, yield) {
				return
			}
		}
	}
}

// yieldPages yields the records of some buckets. It returns false if no more is
// wanted.
func (s *Store) yieldPages(ctx context.Context, pages []page, yield func(registry.Record, error) bool) bool {
	for _, p := range pages {
		if p.err != nil && !yield(registry.Record{}, p.err) {
			return false
		}
		for field, value := range p.fields {
			rec, err := s.record(ctx, place{p.key, field}, value)
			if !yield(rec, err) || err != nil && !errors.Is(err, registry.ErrCorrupt) {
				return false
			}
		}
	}
	return true
}

// record returns the record that a field is, and reads a value that the scan left
// out. Its error wraps registry.ErrCorrupt for what Get would not find there,
// since another program wrote it.
func (s *Store) record(ctx context.Context, at place, value any) (registry.Record, error) {
	k := at.registryKey()
	back, err := s.place(k)
	list, bad := hashheader.CheckList(k.List)
	if err != nil || bad != nil || back != at || list != k.List {
		return registry.Record{}, fmt.Errorf("%w: redis key %s, field %.200q: not a list and a hash of this bucket", registry.ErrCorrupt, at.key, at.field)
	}
	rec := registry.Record{Key: k}
	if text, ok := value.(string); ok {
		rec.Entry, err = at.decode(text)
	} else {
		rec.Entry, err = s.Get(ctx, k)
	}
	return rec, err
}

// A page holds the fields of one bucket, with nil for each long value. The map
// removes the duplicates that HSCAN may return.
type page struct {
	key    string
	fields map[string]any
	err    error // why the bucket is none
}

// scanStep reads scanBuckets buckets, beginning with number from.
func (s *Store) scanStep(ctx context.Context, from int, match string) ([]page, error) {
	ctx, cancel := context.WithTimeout(ctx, max(s.timeout, scanTimeout))
	defer cancel()
	pages, err := s.filled(ctx, from)
	if err != nil {
		return nil, err
	}
	pipe := s.client.Pipeline()
	cmds := make([]*redis.Cmd, len(pages))
	for i, p := range pages {
		cmds[i] = pipe.EvalSha(ctx, scan.Hash(), []string{p.key}, scanArgs("0", match)...)
	}
	exec(ctx, pipe)
	for i := range pages {
		if err := pages[i].fail(s.readPage(ctx, pages[i], cmds[i], match)); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// filled returns the buckets that are not empty, without their fields. Most are
// empty in a small store, and HLEN takes less than a script does.
func (s *Store) filled(ctx context.Context, from int) (pages []page, err error) {
	pipe := s.client.Pipeline()
	sizes := make([]*redis.IntCmd, scanBuckets)
	for i := range sizes {
		sizes[i] = pipe.HLen(ctx, s.bucket(from+i))
	}
	exec(ctx, pipe)
	for i, size := range sizes {
		if size.Err() == nil && size.Val() == 0 {
			continue
		}
		p := page{key: s.bucket(from + i), fields: make(map[string]any)}
		if err := p.fail(size.Err()); err != nil {
			return nil, err
		}
		pages = append(pages, p)
	}
	return pages, nil
}

// fail notes why a bucket is none, or returns the error if that is not about the
// bucket.
func (p *page) fail(err error) error {
	if err == nil {
		return nil
	}
	if err = (place{key: p.key}).failed(err); !errors.Is(err, registry.ErrCorrupt) {
		return err
	}
	p.err = err
	return nil
}

func scanArgs(cursor, match string) []any { return []any{cursor, match, scanCount, longestScanned} }

// readPage adds to p the fields that cmd returns, and in a large bucket those of
// the calls that follow it. It calls anew if the server did not know the script.
func (s *Store) readPage(ctx context.Context, p page, cmd *redis.Cmd, match string) error {
	cursor := "0"
	for {
		reply, err := cmd.Slice()
		if err == nil {
			pairs := reply[1].([]any)
			for i := 0; i+1 < len(pairs); i += 2 {
				p.fields[pairs[i].(string)] = pairs[i+1]
			}
			cursor = reply[0].(string)
		}
		if err != nil && !redis.HasErrorPrefix(err, "NOSCRIPT") || err == nil && cursor == "0" {
			return err
		}
		cmd = scan.Run(ctx, s.client, []string{p.key}, scanArgs(cursor, match)...)
	}
}

// exec runs a pipeline and sets the error of each command. If the server refuses
// the greeting, for a wrong password for example, go-redis returns the error
// from Exec but does not set it on the commands (its issue 2871).
func exec(ctx context.Context, pipe redis.Pipeliner) []redis.Cmder {
	cmds, err := pipe.Exec(ctx)
	if err == nil || slices.ContainsFunc(cmds, func(c redis.Cmder) bool { return c.Err() != nil }) {
		return cmds
	}
	for _, c := range cmds {
		c.SetErr(err)
	}
	return cmds
}
