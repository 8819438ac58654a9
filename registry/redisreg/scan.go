package redisreg

import (
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

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
)

// globs escapes what HSCAN takes for a pattern.
var globs = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)

// Scan implements registry.Store, in the order of buckets. It reads each
// bucket by its name with HSCAN: SCAN over the keys would miss those that a
// resharding moves meanwhile, and would walk the keys of others. An entry
// that stays is yielded once.
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
			if !yieldPages(pages, yield) {
				return
			}
		}
	}
}

// yieldPages yields the records of some buckets until it is told to stop, or
// after an error.
func yieldPages(pages []page, yield func(registry.Record, error) bool) bool {
	for _, p := range pages {
		for field, value := range p.fields {
			at := place{p.key, field}
			e, err := at.decode(value)
			if !yield(registry.Record{Key: at.registryKey(), Entry: e}, err) || err != nil {
				return false
			}
		}
	}
	return true
}

// A page is what was read of one bucket. As a map it takes what HSCAN returns
// twice.
type page struct {
	key    string
	fields map[string]string
}

// scanStep reads the buckets from number from on.
func (s *Store) scanStep(ctx context.Context, from int, match string) ([]page, error) {
	ctx, cancel := context.WithTimeout(ctx, max(s.timeout, scanTimeout))
	defer cancel()
	pipe := s.client.Pipeline()
	cmds := make([]*redis.ScanCmd, scanBuckets)
	for i := range cmds {
		cmds[i] = pipe.HScan(ctx, s.bucket(from+i), 0, match, scanCount)
	}
	exec(ctx, pipe)
	var pages []page
	for i, cmd := range cmds {
		p := page{s.bucket(from + i), make(map[string]string)}
		if err := s.readPage(ctx, p, cmd, match); err != nil {
			return nil, place{key: p.key}.failed(err)
		}
		pages = append(pages, p)
	}
	return pages, nil
}

// readPage adds to p what cmd and, in a bucket of many, its successors return.
func (s *Store) readPage(ctx context.Context, p page, cmd *redis.ScanCmd, match string) error {
	for {
		pairs, cursor, err := cmd.Result()
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(pairs); i += 2 {
			p.fields[pairs[i]] = pairs[i+1]
		}
		if cursor == 0 {
			return nil
		}
		cmd = s.client.HScan(ctx, p.key, cursor, match, scanCount)
	}
}

// exec runs a pipeline and leaves each command with its error. go-redis leaves
// them without any where the server refuses the connection's greeting, as for
// a wrong password, and tells it by Exec alone (its issue 2871).
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
