package redisreg

import (
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"permalink-milter/registry"
)

// buckets is the number of possible keys: one for each value of the first two
// bytes of a digest.
const buckets = 1 << 16

var base32Hash = base32.StdEncoding.WithPadding(base32.NoPadding)

// A place is the key and field that hold an entry.
type place struct{ key, field string }

func (s *Store) place(k registry.Key) (place, error) {
	digest, err := base32Hash.DecodeString(k.Hash)
	if err != nil || len(digest) < 2 {
		return place{}, fmt.Errorf("%w hash %.80q", registry.ErrInvalid, k.Hash)
	}
	return place{s.bucket(int(binary.BigEndian.Uint16(digest))), k.List + "\x00" + string(digest)}, nil
}

func (s *Store) bucket(n int) string { return fmt.Sprintf("%sv1:{%04x}", s.prefix, n) }

// registryKey returns the key that the field stands for.
func (p place) registryKey() registry.Key {
	list, digest, _ := strings.Cut(p.field, "\x00")
	return registry.Key{List: list, Hash: base32Hash.EncodeToString([]byte(digest))}
}

func (p place) decode(value string) (registry.Entry, error) {
	e, err := registry.DecodeEntry([]byte(value))
	if err != nil {
		return e, fmt.Errorf("redis key %s, field %.200q: %w", p.key, p.field, err)
	}
	return e, nil
}

// failed wraps an error of the client. A key of another type, or a value that is
// too long, is not an outage: it does not pass by itself.
func (p place) failed(err error) error {
	if redis.HasErrorPrefix(err, tooLong) {
		return fmt.Errorf("%w: redis key %s, field %.200q: longer than any entry: %w", registry.ErrCorrupt, p.key, p.field, err)
	}
	if strings.Contains(err.Error(), "WRONGTYPE ") { // Redis 6 puts words before it if a script meets it
		return fmt.Errorf("%w: redis key %s is not a registry's hash: delete it, or set another registry.key_prefix: %w", registry.ErrCorrupt, p.key, err)
	}
	return fmt.Errorf("%w: redis: %w", registry.ErrUnavailable, err)
}
