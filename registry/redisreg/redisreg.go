// Package redisreg keeps the entries of a registry in Redis: one server, a
// primary that Sentinels watch, or a Cluster. Several mail hosts and archivers
// can share one such store.
//
//	store, err := redisreg.Open(redisreg.Options{URL: "redis://redis.example.org", KeyPrefix: "permalink:", Timeout: time.Second})
//	...
//	warnings, err := store.Check(ctx)
//	...
//	reg := registry.New(store, registry.Options{})
//	defer reg.Close()
//
// # Layout, version 1
//
// An entry (all that one list holds of one hash) is one field of a hash key:
//
//	key    PREFIX "v1:{" BUCKET "}"   PREFIX is Options.KeyPrefix
//	field  LIST NUL DIGEST            LIST is list@host in lower case
//	value  what registry.Entry.AppendBinary writes, version byte first
//
// DIGEST is the 16 (MD5), 20 (SHA-1) or 32 (SHA-256) bytes that the base32 hash
// of the token stands for. BUCKET is its first two bytes as four lower-case
// hexadecimal digits, which are also the hash tag of the key. So there are at
// most 65,536 keys, spread evenly over a Cluster. Each stays a listpack up to
// hash-max-listpack-entries (512), which allows for 30 million entries. An MD5
// reservation on a list of 23 characters takes 79 bytes in a store of a million
// and 74 in one of ten million. A field or value longer than
// hash-max-listpack-value (64), such as that of a message archived under a long
// URL, turns its bucket into a hash table, in which an entry takes about 45
// bytes more. `make bench-redis` measures this.
//
// A program in another language may read with HGET, or with HSCAN of each
// bucket, as testdata/read.py does. It must write only by the script of this
// package, and must not set a time to live, since the expiry is part of the
// value. An expired reservation is removed when its hash is next reserved.
//
// # Atomic changes
//
// A change is computed here and sent as a compare-and-swap: the script writes
// if the field still holds the bytes that the change was computed from, and
// otherwise answers with the bytes that it holds. The first attempt assumes
// that the entry is absent, so a new message takes one round trip. So does a
// message that holds its token already, because the answer shows that. Each
// call has one key, so this works on a hash slot that is being moved. Concurrent
// calls share pipelines, except with MinReplicas and in a Cluster, where a node
// that hangs would delay the answers of others.
//
// If the answer to a swap or to another one in its pipeline is lost, it is safe
// to send the swap again: the script finds what the first attempt wrote, and
// the rules find that the message holds the token ([registry.Held]). A repeated
// release finds nothing and returns [registry.ErrNotFound].
//
// # What survives
//
// Redis answers before a write is on disk or on a replica. With appendonly
// and appendfsync everysec, a crash of redis-server loses the reservations made
// during an fsync, which may delay writes for two seconds, and a crash of the
// machine loses those of the last one or two seconds. With appendfsync always,
// neither loses any. A failover loses what the new primary had not received. A
// primary without appendonly or snapshots that restarts before a replica takes
// its place comes back empty, and its replicas then become empty, too.
//
// With Options.MinReplicas, each Reserve, Confirm and Release waits until that
// many replicas have the data that it returns, even if the data was written
// before. If they do not have it in time, the call returns
// [registry.ErrUnavailable], although the reservation may exist. With MinReplicas
// set to the number of replicas, an answer survives any failover. With a lower
// number it survives if the failover promotes the replica that is furthest
// ahead, which Sentinels and Clusters do among those that they reach. It may not
// survive if a slot of a Cluster moves and the new primary is lost before its
// replicas have the slot. An answer of Lookup or List has no such guarantee. A
// primary that is cut off from the others accepts writes until it learns of its
// successor, and then drops them. With MinReplicas it acknowledges none of them,
// unless that many replicas are cut off together with it.
//
// A message whose reservation was lost gets the same token when it is seen
// again, unless another message with the same hash comes first.
package redisreg

import (
	"context"
	"crypto/fips140"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"permalink-milter/registry"
	"permalink-milter/registry/batch"
)

// maxAttempts bounds the swaps of one Update. A swap fails only if another one
// has succeeded on the same hash.
const maxAttempts = 1000

// tooLong begins the error reply of a script for a value that is no entry by its
// length.
const tooLong = "TOOLONG"

// refuseLong begins each script that reads a field. Whoever may write to Redis
// can store 512 MB there, which must neither cross the network nor fill the
// memory of the daemon.
var refuseLong = fmt.Sprintf(`local length = redis.call('HSTRLEN', KEYS[1], ARGV[1])
if length > %d then return redis.error_reply('%s ' .. length .. ' bytes') end
`, registry.MaxEncoded, tooLong)

// getScript returns what a field holds.
var getScript = refuseLong + `return redis.call('HGET', KEYS[1], ARGV[1])`

// swapScript replaces a field that holds ARGV[2] by ARGV[3], where "" means no
// field, and returns 1. If the field holds another value, the script returns
// that and changes nothing.
var swapScript = refuseLong + `local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored ~= ARGV[2] then return stored end
if ARGV[3] == '' then
	redis.call('HDEL', KEYS[1], ARGV[1])
else
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1`

var get, swap = newScript(getScript), newScript(swapScript)

// newScript has the server hash the script (SCRIPT LOAD) if FIPS 140 mode forbids
// SHA-1 in this process.
func newScript(text string) *redis.Script {
	if fips140.Enforced() {
		return redis.NewScriptServerSHA(text)
	}
	return redis.NewScript(text)
}

// Options of Open. URL and Timeout are required.
type Options struct {
	// URL is one of
	//
	//	redis://[user:password@]host[:port][/db], rediss:// for TLS
	//	unix:///path[?db=n]
	//	redis+sentinel://host[:port],…/primary-name[/db]
	//	redis+cluster://host[:port],…
	//
	// and rediss+sentinel:// and rediss+cluster:// for TLS.
	URL string
	// Username and Password, if set, override those in the URL.
	Username, Password string
	// With TLS, TLSCA is a PEM file of the CAs to trust instead of the system's.
	// TLSCert and TLSKey are the client's certificate, which is read for each
	// connection.
	TLSCA, TLSCert, TLSKey string
	// KeyPrefix begins every key, such as "permalink:". It has no braces, which
	// would put all keys into one hash slot of a Cluster.
	KeyPrefix string
	// Timeout bounds each call, in addition to its context.
	Timeout time.Duration
	// MinReplicas is how many replicas must have a change before Update returns.
	MinReplicas int

	dial func(ctx context.Context, network, addr string) (net.Conn, error) // of tests
}

// String omits the passwords, including the one in the URL.
func (o Options) String() string { return "redis store with key prefix " + strconv.Quote(o.KeyPrefix) }

// LogValue is String for slog.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// A Store is a registry.Store in Redis. Make one with Open.
type Store struct {
	password    atomic.Pointer[string] // of new connections
	urlPassword string
	client      redis.UniversalClient
	prefix      string
	timeout     time.Duration
	minReplicas int
	pipelines   *batch.Queue[*queuedSwap] // nil if swaps do not share pipelines
}

// Get implements registry.Store.
func (s *Store) Get(ctx context.Context, k registry.Key) (registry.Entry, error) {
	at, err := s.place(k)
	if err != nil {
		return registry.Entry{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	value, err := get.Run(ctx, s.client, []string{at.key}, at.field).Text()
	if err != nil && err != redis.Nil {
		return registry.Entry{}, at.failed(err)
	}
	return at.decode(value)
}

// Update implements registry.Store.
func (s *Store) Update(ctx context.Context, k registry.Key, change func(registry.Entry) (registry.Entry, bool)) error {
	at, err := s.place(k)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	stored := ""
	for attempt := range maxAttempts {
		e, err := at.decode(stored)
		if err != nil {
			return err
		}
		next, changed := change(e)
		if !changed && attempt > 0 && s.minReplicas == 0 {
			return nil
		}
		value := stored
		if changed {
			value = encode(next)
		}
		found, swapped, err := s.swap(ctx, at, stored, value)
		if err != nil || swapped {
			return err
		}
		stored = found
		if err := pause(ctx, attempt); err != nil {
			return at.failed(err)
		}
	}
	return at.failed(fmt.Errorf("others changed the entry %d times meanwhile", maxAttempts))
}

// swap runs the script. A swap of a value for itself checks that the value is
// still there, and writes it again so that the replicas can acknowledge it.
func (s *Store) swap(ctx context.Context, at place, old, value string) (found string, swapped bool, err error) {
	ctx, acks := s.awaitReplicas(ctx)
	answer, err := s.runSwap(ctx, at, old, value)
	if err == nil {
		err = acks.enough()
	}
	if err != nil {
		return "", false, at.failed(err)
	}
	if found, differs := answer.(string); differs {
		return found, false, nil
	}
	if answer != int64(1) {
		return "", false, at.failed(fmt.Errorf("the script answered %v", answer))
	}
	return "", true, nil
}

// runSwap sends the text of the script only if the server does not know it. If
// the server is to hash the script, the hash is unknown before the first swap.
func (s *Store) runSwap(ctx context.Context, at place, old, value string) (any, error) {
	if s.pipelines != nil && swap.Hash() != "" {
		answer, err := s.pipelined(ctx, at, old, value)
		if !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return answer, err
		}
	}
	return swap.Run(ctx, s.client, []string{at.key}, at.field, old, value).Result()
}

// pause waits a random time before the third and later attempts, so that
// concurrent changes of one entry get out of each other's way.
func pause(ctx context.Context, attempt int) error {
	if attempt < 2 {
		return nil
	}
	timer := time.NewTimer(rand.N(min(time.Duration(attempt)*time.Millisecond, 20*time.Millisecond)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// encode returns the stored form of an entry, "" for an empty one.
func encode(e registry.Entry) string {
	if len(e.Slots) == 0 {
		return ""
	}
	return string(e.AppendBinary(nil))
}

// Close implements registry.Store.
func (s *Store) Close() error {
	if s.pipelines != nil {
		s.pipelines.Close()
	}
	return s.client.Close()
}
