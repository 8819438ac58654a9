// Package redisreg keeps a registry's entries in Redis: one server, a primary
// that Sentinels watch, or a Cluster. Several mail hosts and archivers share
// one such store. It decides nothing about the entries.
//
// # Layout, version 1
//
// An entry (all that one list holds of one hash) is one field of a hash key:
//
//	key    PREFIX "v1:{" BUCKET "}"   PREFIX is "permalink:" unless configured
//	field  LIST NUL DIGEST            LIST is list@host in lower case
//	value  what registry.Entry.AppendBinary writes, version byte first
//
// DIGEST are the 16 (MD5), 20 (SHA-1) or 32 (SHA-256) bytes that the base32
// hash of the token stands for, and BUCKET its first two bytes as four
// lower-case hexadecimal digits, which are the key's hash tag too. So there
// are at most 65,536 keys, spread over a Cluster by hash whatever the lists
// are, and each stays a listpack up to hash-max-listpack-entries (512), that
// is to 30 million entries. An MD5 reservation on a list of 23 characters
// takes 79 bytes in a store of a million and 74 in one of ten million. A
// field or value over hash-max-listpack-value (64), as that of a message
// archived under a long URL, turns its bucket into a hash table, in which an
// entry takes about 45 bytes more. `make bench-redis` measures it.
//
// A program in another language reads with HGET, or HSCAN of each bucket;
// testdata/read.py does. It must not write but by the script of this package,
// nor set a time to live: expiry is part of the value. Nothing sweeps expired
// reservations up; one goes when its hash is asked for again.
//
// # Atomic changes
//
// A change is computed here and sent as a compare-and-swap: the script writes
// if the field still holds the bytes that the change was computed from, and
// answers with those it holds otherwise. The first attempt takes the entry to
// be absent, so that a new message takes one round trip; so does one that
// holds its token already, for what the script answers shows it. One key a
// call keeps this working on a hash slot that is being moved. Many calls at
// once share pipelines, but not in a Cluster, where a node that hangs would
// hold up what others could answer, nor with MinReplicas.
//
// Where the answer of a swap was lost, or of another in its pipeline, sending
// it again is safe: the script then finds what the first attempt wrote, and
// the rules find the message holding the token ([registry.Held]). A release
// sent again finds nothing, and says [registry.ErrNotFound].
//
// # What survives
//
// Redis answers before a write is on disk or on a replica. With appendonly
// and appendfsync everysec, a crash of redis-server loses what was reserved
// while an fsync was under way, for writes wait behind it for up to two
// seconds, and one of the machine what was reserved in the last second or
// two. With appendfsync always neither loses anything. A failover loses what
// the new primary had not received. A primary without appendonly or snapshots
// that is restarted before a replica has taken its place comes back empty,
// and its replicas follow it in that.
//
// With Options.MinReplicas every Reserve, Confirm and Release waits until so
// many replicas have what it answers, also where that was written before; if
// they do not, it returns [registry.ErrUnavailable], and the reservation may
// be there all the same. Set to the number of replicas, it lets an answer
// outlive any failover. With fewer it does as long as the failover promotes
// the replica that is furthest ahead, which Sentinels and Clusters do among
// those that they reach. It does not help where a Cluster's slot moves and
// its new primary is lost before its replicas have it, nor for an answer of
// Lookup or List. A primary that is cut off from the others takes writes
// until it learns of its successor, and then drops them; with MinReplicas it
// acknowledges none of these unless so many replicas are cut off with it.
//
// A message whose reservation was lost gets the same token when it is seen
// again, unless another message with the same hash came first.
package redisreg

import (
	"context"
	"crypto/fips140"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"permalink-milter/registry"
	"permalink-milter/registry/batch"
)

// maxAttempts bounds the swaps of one Update. Each that fails means that
// another one succeeded on the same hash.
const maxAttempts = 1000

// swapScript replaces a field that holds ARGV[2] by ARGV[3], "" meaning no
// field, and returns 1; or it changes nothing and returns what the field
// holds.
const swapScript = `local stored = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if stored ~= ARGV[2] then return stored end
if ARGV[3] == '' then
	redis.call('HDEL', KEYS[1], ARGV[1])
else
	redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1`

var swap = newScript(swapScript)

// newScript lets the server hash the script (SCRIPT LOAD) where this process
// may not use SHA-1.
func newScript(text string) *redis.Script {
	if fips140.Enforced() {
		return redis.NewScriptServerSHA(text)
	}
	return redis.NewScript(text)
}

// Options of Open. URL is the one that must be set.
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
	// Username and Password, where they are set, win over the URL's.
	Username, Password string
	// TLSCA is a PEM file of the CAs to trust in place of the system's; TLSCert
	// and TLSKey are the client's certificate, read anew for each connection.
	TLSCA, TLSCert, TLSKey string
	// KeyPrefix begins every key; empty is "permalink:".
	KeyPrefix string
	// Timeout bounds each call beside its context; 0 is half a second.
	Timeout time.Duration
	// MinReplicas is how many replicas must have a change before Update
	// returns.
	MinReplicas int
}

// String leaves the passwords out, that in the URL too.
func (o Options) String() string { return "redis store with key prefix " + strconv.Quote(o.prefix()) }

// LogValue does the same for slog.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// A Store is a registry.Store in Redis. Make one with Open.
type Store struct {
	client      redis.UniversalClient
	prefix      string
	timeout     time.Duration
	minReplicas int
	pipelines   *batch.Queue[*queuedSwap] // nil: each swap goes by itself
}

// Get implements registry.Store.
func (s *Store) Get(ctx context.Context, k registry.Key) (registry.Entry, error) {
	at, err := s.place(k)
	if err != nil {
		return registry.Entry{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	value, err := s.client.HGet(ctx, at.key, at.field).Result()
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

// swap runs the script. Swapping a value for itself looks whether it is there
// still, and writes it again, so that replicas can acknowledge it.
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

// runSwap sends the script's text only where the server does not know it. The
// hash is not known before the first swap where the server makes it.
func (s *Store) runSwap(ctx context.Context, at place, old, value string) (any, error) {
	if s.pipelines != nil && swap.Hash() != "" {
		answer, err := s.pipelined(ctx, at, old, value)
		if !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return answer, err
		}
	}
	return swap.Run(ctx, s.client, []string{at.key}, at.field, old, value).Result()
}

// pause lets others go first where several change one entry. The first two
// attempts are the usual ones.
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

// encode returns the stored form of an entry, "" of an empty one.
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
