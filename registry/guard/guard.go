// Package guard keeps mail flowing while a registry does not answer. A [Guard]
// wraps a registry and is one itself: calls have a time budget, a circuit
// breaker stops calling a dead registry, and reservations that cannot be made
// now are journalled on disk and made later.
//
//	reg, err := guard.New(registry.New(store, registry.Options{}), guard.Options{Dir: dir, Stamp: true})
//	...
//	defer reg.Close()
//	result, err := reg.Reserve(ctx, request) // result.Outcome may be registry.Journalled
//
// A guard decides nothing about tokens. A journalled message is stamped with
// the bare hash, which everyone who holds the message can compute. Whether the
// message may have it turns out when the journal is replayed; if another
// message holds it, a [Conflict] is kept. The same applies to two messages
// with one hash that a host journals in the same outage.
//
// The directory holds the journal (see package journal) and conflicts.jsonl
// (see [Conflict]).
package guard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"permalink-milter/registry"
	"permalink-milter/registry/guard/journal"
	"permalink-milter/registry/statefile"
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
// goroutines. They must not block or call the guard.
type Observer interface {
	Journalled()                      // a reservation was written to the journal
	JournalFailed()                   // one could not be: the journal or its disk is full, for example
	Replayed(conflict bool)           // a journalled reservation was made
	Journal(records int, bytes int64) // the journal now has this size
	Breaker(state string)             // the breaker became closed, half-open or open
}

type ignore struct{}

func (ignore) Journalled()        {}
func (ignore) JournalFailed()     {}
func (ignore) Replayed(bool)      {}
func (ignore) Journal(int, int64) {}
func (ignore) Breaker(string)     {}

// Options of New. Dir is required. Any other zero field takes its default.
type Options struct {
	Dir   string // of the journal; created if missing
	Stamp bool   // journal the reservations that fail: on_failure = "stamp"
	// Timeout bounds one call of the registry. It should be well below the
	// budget of a message, to leave time for the journal.
	Timeout         time.Duration
	JournalMaxBytes int64
	Log             *slog.Logger
	Observe         Observer

	Failures   int           // in a row, that open the breaker
	RetryEvery time.Duration // how often one call then tries the registry again
	ReplayRate int           // replayed reservations per second, at most
}

func (o Options) withDefaults() Options {
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.JournalMaxBytes = cmp.Or(o.JournalMaxBytes, DefaultJournalMaxBytes)
	o.Failures = cmp.Or(o.Failures, DefaultFailures)
	o.RetryEvery = cmp.Or(o.RetryEvery, DefaultRetryEvery)
	o.ReplayRate = cmp.Or(o.ReplayRate, DefaultReplayRate)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = ignore{}
	}
	return o
}

// A Guard is a registry.Registry around another. Make one with New.
type Guard struct {
	inner     registry.Registry
	o         Options
	breaker   *gobreaker.CircuitBreaker[struct{}]
	cause     atomic.Pointer[error] // the registry's last failure
	journal   *journal.Journal
	conflicts *conflictLog
	troubles  seldom // log lines about the journal
	ctx       context.Context
	stop      context.CancelFunc
	done      chan struct{} // closed when the replay has ended
}

// New returns a guard around inner. It replays what an earlier process left in
// the journal, whatever the options are. Closing the guard closes inner.
// Inner's methods must return when their context ends.
func New(inner registry.Registry, o Options) (*Guard, error) {
	o = o.withDefaults()
	err := statefile.MkdirAll(o.Dir, 0o750)
	if err == nil {
		err = statefile.SyncFolder(filepath.Dir(o.Dir)) // or a power cut loses the journal with its folder
	}
	if err != nil {
		return nil, fmt.Errorf("journal directory: %w", err)
	}
	j, err := journal.Open(o.Dir, journal.Options{MaxBytes: o.JournalMaxBytes, Log: o.Log, Changed: o.Observe.Journal})
	if err != nil {
		return nil, err
	}
	conflicts, err := openConflicts(o.Dir)
	if err != nil {
		j.Close()
		return nil, err
	}
	g := &Guard{inner: inner, o: o, journal: j, conflicts: conflicts, done: make(chan struct{})}
	g.breaker = g.newBreaker()
	g.ctx, g.stop = context.WithCancel(context.Background())
	g.o.Observe.Breaker(gobreaker.StateClosed.String())
	go g.work()
	return g, nil
}

// Close ends the replay and closes the journal and the registry. The next
// process replays what is left in the journal.
func (g *Guard) Close() error {
	g.stop()
	<-g.done
	g.conflicts.file.Close() // each line was synced
	return errors.Join(g.journal.Close(), g.inner.Close())
}
