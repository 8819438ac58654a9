// Package batch lets concurrent callers share one expensive operation, such
// as an fsync or a round trip.
//
//	q := batch.New(1, 1024, commit) // commit takes up to 1024 values at a time
//	defer q.Close()
//	err := q.Do(ctx, value) // from any goroutine
package batch

import (
	"context"
	"errors"
	"sync"
)

// ErrClosed is returned by Do after Close.
var ErrClosed = errors.New("closed")

// A Queue runs its process function on the values that have arrived since the
// last run. It never delays a value to collect more of them.
type Queue[T any] struct {
	limit   int
	process func([]T) []error
	items   chan *item[T]
	closing chan struct{}
	done    chan struct{}
	once    sync.Once
}

type item[T any] struct {
	ctx   context.Context
	value T
	err   chan error // buffered, so that a worker need not wait for a caller that gave up
}

// New starts a queue. Process takes at most limit values and returns an error
// for each. Up to workers calls of it run at once.
func New[T any](workers, limit int, process func([]T) []error) *Queue[T] {
	q := &Queue[T]{limit: limit, process: process, items: make(chan *item[T], limit), closing: make(chan struct{}), done: make(chan struct{})}
	var all sync.WaitGroup
	for range workers {
		all.Go(q.work)
	}
	go func() {
		all.Wait()
		close(q.done)
	}()
	return q
}

// Do waits until the value is processed, and returns its error, ctx's, or
// ErrClosed. After ctx's error the value may still be processed.
func (q *Queue[T]) Do(ctx context.Context, value T) error {
	it := &item[T]{ctx, value, make(chan error, 1)}
	select {
	case q.items <- it:
	case <-q.closing:
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-it.err:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-q.done:
		select {
		case err := <-it.err:
			return err
		default:
			return ErrClosed
		}
	}
}

// Close processes the queued values and ends the workers.
func (q *Queue[T]) Close() {
	q.once.Do(func() { close(q.closing) })
	<-q.done
}

func (q *Queue[T]) work() {
	for {
		select {
		case it := <-q.items:
			q.run(it)
		case <-q.closing:
			for {
				select {
				case it := <-q.items:
					q.run(it)
				default:
					return
				}
			}
		}
	}
}

// run processes first and the items queued behind it.
func (q *Queue[T]) run(first *item[T]) {
	batch := []*item[T]{first}
	for len(batch) < q.limit && len(q.items) > 0 {
		select {
		case it := <-q.items:
			batch = append(batch, it)
		default:
		}
	}
	var live []*item[T]
	var values []T
	for _, it := range batch {
		if it.ctx.Err() == nil {
			live, values = append(live, it), append(values, it.value)
		}
	}
	if len(live) == 0 {
		return
	}
	for i, err := range q.process(values) {
		live[i].err <- err
	}
}
