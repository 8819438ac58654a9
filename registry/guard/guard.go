// Package guard keeps mail flowing while a registry does not answer. It wraps
// a registry and is one itself: calls have a time budget, a circuit breaker
// stops waiting for a registry that is dead, and reservations that cannot be
// made now are journalled on disk and made later.
//
// It decides nothing about tokens. A journalled message is stamped with the
// bare hash, which everyone who holds the message can compute; whether it is
// the message's own shows when the journal is replayed. What differs then is
// kept as a [Conflict]. That goes for two messages of one hash that a host
// journals in the same outage, too.
//
// # Files
//
// The directory holds the journal's segments, NUMBER.journal: 8 bytes of
// header, "plinkjn" and the version 1, then records as appendRecord writes
// them; conflicts.jsonl, see [Conflict]; and an empty file, lock, which the
// process that uses the directory holds with flock(2).
package guard

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"permalink-milter/registry"
)

// Defaults of Options.
const (
	DefaultTimeout         = 500 * time.Millisecond
	DefaultJournalMaxBytes = 256 << 20
	DefaultFailures        = 3
	DefaultRetryEvery      = 2 * time.Second
	DefaultReplayRate      = 1000
)

// An Observer counts what a guard does. Its methods are called from many
// goroutines, must not block, and must not call the guard.
type Observer interface {
	Journalled()                      // a reservation was written to the journal
	JournalFailed()                   // one could not be: the journal is full, or its disk
	Replayed(conflict bool)           // a journalled reservation was made
	Journal(records int, bytes int64) // what waits for the replay now
	Breaker(state string)             // it became closed, half-open or open
}

type ignore struct{}

func (ignore) Journalled()        {}
func (ignore) JournalFailed()     {}
func (ignore) Replayed(bool)      {}
func (ignore) Journal(int, int64) {}
func (ignore) Breaker(string)     {}

// Options of New. Dir is required; what else is zero takes its default.
type Options struct {
	Dir   string // of the journal; made where it is missing
	Stamp bool   // journal what the registry does not take: on_failure = "stamp"
	// Timeout bounds one call of the registry. It should be well below a
	// message's own budget, so that there is time left to journal.
	Timeout         time.Duration
	JournalMaxBytes int64
	Log             *slog.Logger
	Observe         Observer

	Failures   int           // in a row, after which the registry is no longer waited for
	RetryEvery time.Duration // how often it is then tried again, by one call
	ReplayRate int           // replayed reservations a second, at most
}

func (o Options) withDefaults() Options {
	o.Timeout = orDefault(o.Timeout, DefaultTimeout)
	o.JournalMaxBytes = orDefault(o.JournalMaxBytes, DefaultJournalMaxBytes)
	o.Failures = orDefault(o.Failures, DefaultFailures)
	o.RetryEvery = orDefault(o.RetryEvery, DefaultRetryEvery)
	o.ReplayRate = orDefault(o.ReplayRate, DefaultReplayRate)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = ignore{}
	}
	return o
}

func orDefault[T int | int64 | time.Duration](v, standard T) T {
	if v == 0 {
		return standard
	}
	return v
}

// A Guard is a registry.Registry around another. Make one with New.
type Guard struct {
	inner     registry.Registry
	o         Options
	breaker   *gobreaker.CircuitBreaker[struct{}]
	cause     atomic.Pointer[error] // the registry's last failure
	journal   *journal
	conflicts *conflictLog
	troubles  seldom // with the journal, in the log
	ctx       context.Context
	stop      context.CancelFunc
	done      chan struct{} // closed when the replay has ended
}

// New guards a registry. What an earlier process left in the journal is
// replayed, in every mode. Closing the guard closes inner; inner's methods
// must return when their context ends.
func New(inner registry.Registry, o Options) (*Guard, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	j, err := openJournal(o.Dir, o.JournalMaxBytes, o.Log, o.Observe.Journal)
	if err != nil {
		return nil, err
	}
	conflicts, err := openConflicts(o.Dir)
	if err != nil {
		j.close()
		return nil, err
	}
	g := &Guard{inner: inner, o: o, journal: j, conflicts: conflicts, done: make(chan struct{})}
	g.breaker = g.newBreaker()
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.o.Observe.Breaker(gobreaker.StateClosed.String())
	go g.work()
	return g, nil
}

// Close ends the replay, and closes the journal and the registry. What is
// journalled stays for the next process.
func (g *Guard) Close() error {
	g.stop()
	<-g.done
	err := g.journal.close()
	g.conflicts.file.Close() // each line was synced
	if closed := g.inner.Close(); closed != nil {
		return closed
	}
	return err
}
