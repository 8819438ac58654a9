// Package registry reserves permalinks: it decides which token a message gets,
// who holds it, and when it is free again.
//
// [New] makes a [Registry] of a [Store]: package boltreg has one in a file,
// redisreg one in Redis, and memreg one in memory.
//
//	store, err := boltreg.Open("permalinks.db")
//	...
//	reg := registry.New(store, registry.Options{TTL: 30 * 24 * time.Hour})
//	defer reg.Close()
//	result, err := reg.Reserve(ctx, registry.Request{List: list, Hash: hash, Identity: id})
//	...
//	token := result.Token() // HASH, or HASH-2 if another message holds HASH
//
// The rules are pure methods of [Entry]. A store only keeps entries and decides
// nothing about them, so all stores behave alike; package registrytest has the
// suite that each must pass.
package registry

import (
	"context"
	"errors"
	"iter"
	"time"

	"permalink-milter/hashheader"
)

// Errors that a caller may test for with errors.Is.
var (
	ErrInvalid     = hashheader.ErrInvalid
	ErrNotFound    = errors.New("no such reservation")
	ErrOccupied    = errors.New("permalink already occupied by another message")
	ErrArchived    = errors.New("archived permalinks are permanent")
	ErrFull        = errors.New("all tokens of this hash are taken")
	ErrUnavailable = errors.New("registry does not answer")
	ErrCrowded     = errors.New("too many changes of large entries") // beside ErrUnavailable, where other calls are answered
	ErrCorrupt     = errors.New("unreadable entry")                  // of one key, even if a store wraps it in ErrUnavailable
)

// A Request asks for the permalink of one message on one list.
type Request struct {
	List     string // list@host
	Hash     string // base32, as hashheader writes it
	Identity hashheader.Identity
	// Body distinguishes messages that have one identity. Where it is zero, as a
	// milter asks, the identity alone decides.
	Body Body
	// Share asks for the bare hash even if another message holds it, for
	// archives that keep one message per Message-ID.
	Share bool
}

// A Body is a digest of a message's body, and of what belongs to it, for those
// who see it. The zero Body is unknown.
type Body [16]byte

// An Outcome is how a request was met.
type Outcome uint8

// The outcomes of Reserve.
const (
	Fresh      Outcome = iota // the token was free and is now reserved
	Held                      // this message held the token already
	Shared                    // another message holds the token, and Request.Share was set
	Journalled                // the registry did not answer: the token will be reserved when it does
	Unreserved                // the bare hash, without a reservation
)

// String returns the name of the outcome in logs and metrics.
func (o Outcome) String() string {
	return [...]string{"reserved", "held", "shared", "journalled", "unreserved"}[o]
}

// A Reservation is one token on one list and the message that holds it.
type Reservation struct {
	List     string
	Hash     string
	Ordinal  int // 1 for the bare hash
	Identity hashheader.Identity
	Body     Body // zero unless a Request had one
	State    State
	Since    time.Time // when it was reserved, to the second
	Expires  time.Time // zero: never
	URL      string    // where the message is archived
	Subject  string    // as the archiver reported it
}

// Token returns the variable part of the permalink: HASH, HASH-2, ….
func (r Reservation) Token() string { return hashheader.Token(r.Hash, r.Ordinal) }

// A Result is what Reserve found or made.
type Result struct {
	Reservation
	Outcome Outcome
}

// A Confirmation reports that a reserved message is archived.
type Confirmation struct {
	List, Token string
	// Identity must be the holder's, unless it is zero.
	Identity hashheader.Identity
	URL      string // absolute
	Subject  string // may be empty
}

// Stats counts a registry's reservations, and the entries that cannot be read.
type Stats struct {
	Lists, Hashes, Reserved, Archived, Collisions, Unreadable int
}

// A Registry reserves permalinks. All methods are safe for concurrent use, and
// all calls are idempotent. Lists and tokens may be in upper or lower case. The
// error of an invalid list, hash, token or URL wraps ErrInvalid, that of a
// store that does not answer ErrUnavailable.
type Registry interface {
	// Reserve gives a message its token: the one that it holds, or else the one
	// after the last that a message holds. It returns ErrFull after
	// hashheader.MaxOrdinal.
	Reserve(ctx context.Context, r Request) (Result, error)
	// Lookup returns the reservation of a token, or ErrNotFound.
	Lookup(ctx context.Context, list, token string) (Reservation, error)
	// LookupHash returns all reservations of a hash, by ordinal.
	LookupHash(ctx context.Context, list, hash string) ([]Reservation, error)
	// Confirm marks a reservation archived, for ever. It returns ErrNotFound,
	// or ErrOccupied if another message holds the token.
	Confirm(ctx context.Context, c Confirmation) (Reservation, error)
	// Release gives a token up. It returns ErrNotFound, ErrOccupied if another
	// message holds the token, or ErrArchived.
	Release(ctx context.Context, list, token string, id hashheader.Identity) error
	// List yields the reservations of a list, or of all lists for "", in an
	// order that depends on the store. An entry that cannot be read is an error
	// that wraps ErrCorrupt, with its list and hash if they are known, after
	// which List goes on if it is asked to. It stops after any other error.
	List(ctx context.Context, list string) iter.Seq2[Reservation, error]
	// Stats counts all reservations, and the entries that cannot be read; it
	// reads the whole store.
	Stats(ctx context.Context) (Stats, error)
	Close() error
}

// A Key names one hash on one list. Stores get only valid keys from the
// Registry of New: a lower-case list and an upper-case hash.
type Key struct{ List, Hash string }

// A Record is a key and its entry, as a scan yields them.
type Record struct {
	Key
	Entry Entry
}

// A Store keeps entries. Its errors wrap ErrUnavailable if it cannot answer.
type Store interface {
	// Get returns the entry of a key, the zero Entry if there is none.
	Get(ctx context.Context, k Key) (Entry, error)
	// Update replaces the entry of k with the result of change, atomically, and
	// returns when that will survive a crash. Change is pure. It may be called
	// several times, even after Update returned an error. If it returns false,
	// nothing is written. An entry that becomes empty is deleted.
	Update(ctx context.Context, k Key, change func(Entry) (Entry, bool)) error
	// Scan yields the records of a list, or of all for "". An entry that cannot
	// be read is an error that wraps ErrCorrupt, with its key if that is known,
	// after which Scan goes on if it is asked to.
	Scan(ctx context.Context, list string) iter.Seq2[Record, error]
	Close() error
}
