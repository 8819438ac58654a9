package inorder_test

import (
	"context"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"permalink-milter/hashheader/mailbox/inorder"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestResultsKeepTheOrder(t *testing.T) {
	numbers := make([]int, 1000)
	for i := range numbers {
		numbers[i] = i
	}
	uneven := func(n int) int {
		for range n % 7 {
			runtime.Gosched()
		}
		return n
	}
	got := slices.Collect(inorder.Map(t.Context(), slices.Values(numbers), 8, uneven))
	if !slices.Equal(got, numbers) {
		t.Errorf("%v", got)
	}
}

func TestNoMoreCallsAtATimeThanWorkers(t *testing.T) {
	var running, most atomic.Int32
	for range inorder.Map(t.Context(), slices.Values(make([]int, 200)), 3, func(int) int {
		most.Store(max(most.Load(), running.Add(1)))
		runtime.Gosched()
		running.Add(-1)
		return 0
	}) {
	}
	if n := most.Load(); n > 3 {
		t.Errorf("%d calls at a time", n)
	}
}

func TestItStopsWithItsReaderAndWithTheContext(t *testing.T) {
	endless := func(yield func(int) bool) {
		for yield(1) {
		}
	}
	same := func(n int) int { return n }
	for range inorder.Map(t.Context(), endless, 2, same) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	count := 0
	for range inorder.Map(ctx, endless, 2, same) {
		if count++; count == 10 {
			cancel()
		}
	}
}
