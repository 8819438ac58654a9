// Package registry holds the rules by which permalinks are reserved: which
// token a message gets, who holds it, and when it is free again.
//
// The rules stand here once, as pure methods of [Entry]. A store only keeps
// entries; it may not decide anything about them.
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
	ErrCorrupt     = errors.New("unreadable entry") // a store may wrap it in ErrUnavailable: it fails for this key alone
)

// A Request asks for the permalink of one message on one list.
type Request struct {
	List     string // list@host
	Hash     string // base32, as hashheader writes it
	Identity hashheader.Identity
	// Body distinguishes messages that have one identity. Where it is zero, as a
	// milter asks, the identity alone decides.
	Body Body
	// Share asks for the bare hash even where another message holds it, for
	// archives that keep one message per Message-ID.
	Share bool
}

// A Body is a digest of a message's body, for those who see it. The zero Body
// is unknown.
type Body [16]byte

// An Outcome tells how a request was met.
type Outcome uint8

// The outcomes of Reserve.
const (
	Fresh      Outcome = iota // nobody held it: reserved now
	Held                      // this message held it already
	Shared                    // another message holds it, and sharing was asked for
	Journalled                // the registry did not answer; to be reserved when it does
	Unreserved                // the bare hash without a reservation
)

// String returns the outcome as logs and metrics name it.
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
	Subject  string    // what the archiver calls it
}

// Token returns the variable part of the permalink: HASH, HASH-2, ….
func (r Reservation) Token() string { return hashheader.Token(r.Hash, r.Ordinal) }

// A Result is what Reserve found or made.
type Result struct {
	Reservation
	Outcome Outcome
}

// A Confirmation says that a reserved message is archived.
type Confirmation struct {
	List, Token string
	// Identity must be the holder's; the zero Identity is not checked.
	Identity hashheader.Identity
	URL      string // absolute
	Subject  string // may be empty
}

// Stats counts a registry's reservations.
type Stats struct {
	Lists, Hashes, Reserved, Archived, Collisions int
}

// A Registry reserves permalinks. All methods are safe for use by many
// goroutines, and all calls may be repeated without harm. Lists and tokens
// are taken in either case. ErrInvalid is returned, wrapped, for what is no
// list, hash, token or URL, ErrUnavailable for a store that does not answer.
type Registry interface {
	// Reserve gives a message its token: the one it holds, or the lowest
	// that no message holds. It returns ErrFull past hashheader.MaxOrdinal.
	Reserve(ctx context.Context, r Request) (Result, error)
	// Lookup returns the reservation of a token, or ErrNotFound.
	Lookup(ctx context.Context, list, token string) (Reservation, error)
	// LookupHash returns all reservations of a hash, by ordinal.
	LookupHash(ctx context.Context, list, hash string) ([]Reservation, error)
	// Confirm marks a reservation archived, for ever. It returns ErrNotFound,
	// or ErrOccupied where another message holds the token.
	Confirm(ctx context.Context, c Confirmation) (Reservation, error)
	// Release gives a token back. It returns ErrNotFound, ErrOccupied where
	// another message holds it, or ErrArchived.
	Release(ctx context.Context, list, token string, id hashheader.Identity) error
	// List yields the reservations of a list, or of all lists for "". The
	// order is the store's. It stops after the first error.
	List(ctx context.Context, list string) iter.Seq2[Reservation, error]
	// Stats counts all reservations; it reads the whole store.
	Stats(ctx context.Context) (Stats, error)
	Close() error
}

// A Key names one hash on one list. New makes sure that stores see only valid
// ones: a lower-case list, an upper-case hash.
type Key struct{ List, Hash string }

// A Record is a key with its entry, as a scan yields it.
type Record struct {
	Key
	Entry Entry
}

// A Store keeps entries. It wraps what keeps it from answering in
// ErrUnavailable.
type Store interface {
	// Get returns the entry of a key, the zero Entry where there is none.
	Get(ctx context.Context, k Key) (Entry, error)
	// Update replaces the entry of k with what change makes of it, atomically,
	// and returns when that will survive a crash. Change is pure and may be
	// called several times, and even after Update returned an error; where it
	// returns false, nothing is written. An entry that becomes empty is
	// deleted.
	Update(ctx context.Context, k Key, change func(Entry) (Entry, bool)) error
	// Scan yields the records of a list, or of all for "".
	Scan(ctx context.Context, list string) iter.Seq2[Record, error]
	Close() error
}
