package batch_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"permalink-milter/registry/batch"
)

func TestWhatComesWhileABatchRunsSharesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var sizes []int
		q := batch.New(1, 10, func(values []int) []error {
			<-gate
			sizes = append(sizes, len(values))
			errs := make([]error, len(values))
			for i, v := range values {
				if v%2 == 1 {
					errs[i] = fmt.Errorf("%d is odd", v)
				}
			}
			return errs
		})
		var all sync.WaitGroup
		do := func(v int) {
			all.Go(func() {
				if err := q.Do(t.Context(), v); (err != nil) != (v%2 == 1) {
					t.Errorf("%d: %v", v, err)
				}
			})
		}
		do(0)
		synctest.Wait()
		for v := range 25 {
			do(v)
		}
		synctest.Wait()
		close(gate)
		all.Wait()
		q.Close()
		if fmt.Sprint(sizes) != "[1 10 10 5]" {
			t.Errorf("batches of %v", sizes)
		}
	})
}

func TestACallerThatGivesUpIsNotProcessed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		processed := 0
		q := batch.New(1, 10, func(values []int) []error {
			<-gate
			processed += len(values)
			return make([]error, len(values))
		})
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := q.Do(ctx, 1); !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		cancel()
		all.Wait()
		close(gate)
		q.Close()
		if processed != 1 { // the one that was under way
			t.Errorf("%d were processed", processed)
		}
	})
}

func TestCloseAnswersEveryCaller(t *testing.T) {
	var processed, answered, refused atomic.Int64
	q := batch.New(4, 8, func(values []int) []error {
		processed.Add(int64(len(values)))
		return make([]error, len(values))
	})
	var all sync.WaitGroup
	for range 64 {
		all.Go(func() {
			for {
				err := q.Do(context.Background(), 1)
				if err != nil {
					if !errors.Is(err, batch.ErrClosed) {
						t.Error(err)
					}
					refused.Add(1)
					return
				}
				answered.Add(1)
			}
		})
	}
	for processed.Load() < 1000 {
	}
	q.Close()
	q.Close()
	all.Wait()
	if refused.Load() != 64 || answered.Load() != processed.Load() {
		t.Errorf("%d refused, %d answered of %d processed", refused.Load(), answered.Load(), processed.Load())
	}
}
