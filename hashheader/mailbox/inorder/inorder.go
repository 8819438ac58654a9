// Package inorder maps a sequence with several goroutines and keeps its
// order.
package inorder

import (
	"context"
	"iter"
)

// Map yields f of each element of in, in in's order. At most workers calls of
// f run at a time, and a few results more than that wait to be yielded. In
// runs in a goroutine of its own. The sequence ends early with ctx.
func Map[A, B any](ctx context.Context, in iter.Seq[A], workers int, f func(A) B) iter.Seq[B] {
	return func(yield func(B) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		results := start(ctx, in, workers, f)
		for {
			result, ok := receive(ctx, results)
			if !ok {
				return
			}
			b, ok := receive(ctx, result)
			if !ok || !yield(b) {
				return
			}
		}
	}
}

// start sends, for each element and in their order, the channel that will
// hold its result.
func start[A, B any](ctx context.Context, in iter.Seq[A], workers int, f func(A) B) <-chan chan B {
	results := make(chan chan B, workers)
	running := make(chan struct{}, workers)
	go func() {
		defer close(results)
		for a := range in {
			result := make(chan B, 1)
			if !send(ctx, running, struct{}{}) || !send(ctx, results, result) {
				return
			}
			go func() {
				result <- f(a)
				<-running
			}()
		}
	}()
	return results
}

func send[T any](ctx context.Context, c chan<- T, v T) bool {
	select {
	case c <- v:
		return true
	case <-ctx.Done():
		return false
	}
}

func receive[T any](ctx context.Context, c <-chan T) (v T, ok bool) {
	select {
	case v, ok = <-c:
		return v, ok
	case <-ctx.Done():
		return v, false
	}
}
